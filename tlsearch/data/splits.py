"""Checks the classes and splits the images into train, val and test."""

import hashlib
from collections.abc import Mapping, Sequence

from tlsearch.data.hashed_splits import hashed_splits
from tlsearch.data.reading import listed
from tlsearch.data.references import (
    ALL,
    TEST,
    TRAIN,
    VAL,
    ImageRef,
    PassedOver,
    SourceImages,
    passed_text,
)
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

Splits = dict[str, tuple[ImageRef, ...]]


def make_splits(source: SourceImages, spec: DataSpec) -> Splits:
    """Return `train`, `val` and `test`, each in the source's order.

    A source without splits is split by `val_fraction` and `test_fraction`. Where a source has a
    train split but no val split, val is taken from train, and its test split does not change. Both
    are stratified and seeded; they depend on the images' names, not on the order of files.

    Raises:
        DataError: fewer than two classes, a class without images or with too few to split, or
            no validation images.
    """
    check_classes(source)
    splits = _with_all_splits(source, spec)
    if not splits[VAL]:
        raise DataError(
            f"{source.where}: there are no validation images; set data.val_fraction above 0, or "
            "add a validation split"
        )
    limits = {TRAIN: spec.train_per_class, VAL: spec.val_per_class, TEST: spec.test_per_class}
    return {
        split: _at_most(splits[split], limit, spec.split_seed) for split, limit in limits.items()
    }


def check_classes(source: SourceImages) -> None:
    """Check that there are at least two classes, with images of each in every split.

    Raises:
        DataError: there are fewer classes, or a class without images.
    """
    names = source.class_names
    if len(names) < 2:
        raise DataError(
            f"{source.where}: has {len(names)} class{'' if len(names) == 1 else 'es'} "
            f"({listed(map(repr, names))}); at least two are needed"
        )
    for split, refs in source.splits.items():
        present = {ref.label for ref in refs}
        missing = [repr(name) for label, name in enumerate(names) if label not in present]
        if missing:
            part = "" if split == ALL else f"{split} "
            raise DataError(
                f"{source.where}: there is no image of the class {listed(missing)} among the "
                f"{len(refs)} {part}images; {_add_images(source.passed)}"
            )


def _add_images(passed: Sequence[PassedOver]) -> str:
    """Say what to do about a class without images, where its files were passed over."""
    noted = passed_text(passed)
    begin = f"passed over were {noted}; " if noted else ""
    return f"{begin}add images or remove the class"


def _with_all_splits(source: SourceImages, spec: DataSpec) -> Splits:
    splits = {TRAIN: (), VAL: (), TEST: (), **source.splits}
    if VAL in source.splits:
        return splits
    pool = splits.pop(ALL, None)
    test_fraction = 0.0 if pool is None else spec.test_fraction
    splits[TRAIN] = splits[TRAIN] if pool is None else pool
    if any(ref.group is not None for ref in splits[TRAIN]):
        return _divided(splits, _by_group(source, splits[TRAIN], spec, test_fraction))
    chosen: dict[str, str] = {}
    for label, refs in _by_label(splits[TRAIN]).items():
        n_val, n_test = shares(len(refs), spec.val_fraction, test_fraction)
        if n_val + n_test >= len(refs):
            raise DataError(
                f"{source.where}: the class {source.class_names[label]!r} has {len(refs)} image, "
                "too few for training and validation; add images or remove the class"
            )
        names = [ref.name for ref in _shuffled(refs, spec.split_seed)]
        chosen |= dict.fromkeys(names[:n_val], VAL)
        chosen |= dict.fromkeys(names[n_val : n_val + n_test], TEST)
    return _divided(splits, chosen)


def _by_group(
    source: SourceImages, refs: Sequence[ImageRef], spec: DataSpec, test_fraction: float
) -> dict[str, str]:
    """Return the split of each image by name; those of a group have one, and move by it alone.

    Raises:
        DataError: a class is in too few groups.
    """
    keys = [_unit_key(ref) for ref in refs]
    labels = [ref.label for ref in refs]
    found = hashed_splits(keys, labels, spec.split_seed, spec.val_fraction, test_fraction)
    for split in (TRAIN, VAL) if spec.val_fraction else (TRAIN,):
        present = {label for label, its in zip(labels, found, strict=True) if its == split}
        missing = sorted(set(labels) - present)
        if missing:
            raise DataError(
                f"{source.where}: the class {source.class_names[missing[0]]!r} is in too few "
                "groups for training and validation; add images of other groups, or remove the "
                "class"
            )
    return {ref.name: split for ref, split in zip(refs, found, strict=True)}


def _unit_key(ref: ImageRef) -> bytes:
    text = f"image/{ref.name}" if ref.group is None else f"group/{ref.group}"
    return text.encode("utf-8", "surrogateescape")


def _divided(splits: Splits, chosen: Mapping[str, str]) -> Splits:
    """Move the chosen images of train to val and test."""
    train = splits[TRAIN]
    carved = {
        split: tuple(ref for ref in train if chosen.get(ref.name, TRAIN) == split)
        for split in (TRAIN, VAL, TEST)
    }
    return {**carved, TEST: splits[TEST] + carved[TEST]}


def shares(n: int, val_fraction: float, test_fraction: float) -> tuple[int, int]:
    """Return how many of `n` images go to val and test.

    The numbers are rounded. Each is at least 1 where its fraction is above 0; for test only where
    there are at least three images. One image stays for training.
    """
    for_test = 1 if test_fraction > 0 and n > 2 else 0
    n_val = min(max(1, round(n * val_fraction)), max(1, n - 1 - for_test)) if val_fraction else 0
    n_test = min(max(for_test, round(n * test_fraction)), n - 1 - n_val) if for_test else 0
    return n_val, n_test


def _at_most(refs: tuple[ImageRef, ...], limit: int, seed: int) -> tuple[ImageRef, ...]:
    """Keep the first `limit` images of each class's shuffle (0 = all), in their old order."""
    if limit == 0:
        return refs
    kept = {
        ref.name
        for of_class in _by_label(refs).values()
        for ref in _shuffled(of_class, seed)[:limit]
    }
    return tuple(ref for ref in refs if ref.name in kept)


def _by_label(refs: Sequence[ImageRef]) -> dict[int, list[ImageRef]]:
    groups: dict[int, list[ImageRef]] = {}
    for ref in refs:
        groups.setdefault(ref.label, []).append(ref)
    return groups


def _shuffled(refs: Sequence[ImageRef], seed: int) -> list[ImageRef]:
    """Shuffle by a hash of the names: equal on every machine and with every version of NumPy."""

    def key(ref: ImageRef) -> bytes:
        text = f"{seed}/{ref.name}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

    return sorted(refs, key=key)
