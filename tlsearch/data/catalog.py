"""Turns a data spec into a catalog: the images, their labels and their splits."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tlsearch.data.folds import make_folds
from tlsearch.data.reading import Contents
from tlsearch.data.references import TEST, TRAIN, VAL, Catalog, ImageRef, SourceImages
from tlsearch.data.scan import FIRST, NOW, Rules
from tlsearch.data.sources import read_source
from tlsearch.data.splits import Splits, make_splits
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec


def load_catalog(
    spec: DataSpec, fingerprint: str | None = None, left_out: Collection[str] = ()
) -> Catalog:
    """Find the images, split them, and compute a fingerprint; does not decode image files.

    Args:
        spec: the data.
        fingerprint: of the catalog that a study was created with. Where a folder has another one,
            it is read as version 0.2.0 did, which may be how the study was created.
        left_out: names of images that are not used, as `load_readable` found them.

    Raises:
        DataError: the data is missing, cannot be read, or is not a classification data set; one
            sentence that says what, where and what to do.
    """
    try:
        found = _catalog(spec, NOW, left_out)
    except DataError:
        former = _former(spec, fingerprint, left_out)
        if former is None:
            raise
        return former
    if fingerprint in (None, found.fingerprint):
        return found
    return _former(spec, fingerprint, left_out) or found


def _former(spec: DataSpec, fingerprint: str | None, left_out: Collection[str]) -> Catalog | None:
    """Return the catalog as version 0.2.0 read it, where that has this fingerprint."""
    if fingerprint is None:
        return None
    try:
        found = _catalog(spec, FIRST, left_out)
    except DataError:
        return None
    return found if found.fingerprint == fingerprint else None


def _catalog(spec: DataSpec, rules: Rules, left_out: Collection[str]) -> Catalog:
    return catalog_of(without(read_source(spec, rules), left_out), spec)


def without(source: SourceImages, left_out: Collection[str]) -> SourceImages:
    """Return a source without the images of these names."""
    if not left_out:
        return source
    names = frozenset(left_out)
    splits = {
        split: tuple(ref for ref in refs if ref.name not in names)
        for split, refs in source.splits.items()
    }
    return replace(source, splits=splits)


def catalog_of(source: SourceImages, spec: DataSpec) -> Catalog:
    """Split the images of a source, and compute the fingerprint; raises as `load_catalog` does."""
    contents = Contents()
    splits = make_splits(source, spec, contents)
    folds = None
    if spec.folds:
        splits, folds = _in_folds(source, splits, spec, contents)
    if spec.bit_depth is not None:
        splits = {
            split: tuple(replace(ref, bits=spec.bit_depth) for ref in refs)
            for split, refs in splits.items()
        }
    return Catalog(
        class_names=source.class_names,
        train=splits[TRAIN],
        val=splits[VAL],
        test=splits[TEST],
        passed=source.passed,
        fingerprint=_fingerprint(source.class_names, splits, spec.bit_depth, contents, folds),
        folds=folds,
    )


def _in_folds(
    source: SourceImages, splits: Splits, spec: DataSpec, contents: Contents
) -> tuple[Splits, tuple[int, ...]]:
    """Pool training and validation images, and divide them; the first fold stands for validation.

    Returns:
        The splits, and the folds of the images of train and then val.
    """
    pool = [*splits[TRAIN], *splits[VAL]]
    placed = sorted(
        zip(make_folds(source, pool, spec, contents), range(len(pool)), strict=True),
        key=lambda each: (each[0] == 0, each[1]),
    )
    folds = tuple(fold for fold, _ in placed)
    n_train = len(folds) - folds.count(0)
    ordered = tuple(pool[k] for _, k in placed)
    return {**splits, TRAIN: ordered[:n_train], VAL: ordered[n_train:]}, folds


def _fingerprint(
    class_names: Sequence[str],
    splits: Mapping[str, tuple[ImageRef, ...]],
    bits: int | None,
    contents: Contents,
    folds: tuple[int, ...] | None,
) -> str:
    """Hash the class names, the images of all splits, and the content of train and val."""
    members = {
        split: [[ref.name, ref.label] for ref in splits[split]] for split in (TRAIN, VAL, TEST)
    }
    digest = hashlib.sha256(json.dumps([list(class_names), members]).encode())
    for content in contents.of([*splits[TRAIN], *splits[VAL]]):
        digest.update(content)
    weights = [ref.weight for split in (TRAIN, VAL) for ref in splits[split]]
    if len(set(weights)) > 1:
        digest.update(f"weights {weights}".encode())
    if folds is not None:
        digest.update(f"folds {folds}".encode())
    if bits is not None:  # else the hash is that of earlier versions
        digest.update(f"bit depth {bits}".encode())
    return digest.hexdigest()
