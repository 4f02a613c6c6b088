"""Checks the classes and splits the images into train, val and test."""

import hashlib
from collections.abc import Mapping, Sequence

from tlsearch.data.hashed_splits import hash_of, hashed_splits
from tlsearch.data.reading import Contents, listed
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

_FEWEST = 3  # different images of a class that can be divided into three splits


def make_splits(source: SourceImages, spec: DataSpec, contents: Contents) -> Splits:
    """Return `train`, `val` and `test`, each in the source's order.

    A source without splits is split by `val_fraction` and `test_fraction`. Where a source has a
    train split but no val split, val is taken from train, and its test split does not change. Both
    are seeded, and do not depend on the order of files: by `spec.splits`, on each image alone
    (`stable`), or on the names of the images of its class (`ranked`). Groups always go by
    themselves alone.

    Raises:
        DataError: fewer than two classes, a class without images or with too few to split, no
            validation images, or images that cannot be read.
    """
    check_classes(source)
    splits = _with_all_splits(source, spec, contents)
    if not splits[VAL] and not spec.folds:
        raise DataError(
            f"{source.where}: there are no validation images; set data.val_fraction above 0, or "
            "add a validation split"
        )
    limits = {TRAIN: spec.train_per_class, VAL: spec.val_per_class, TEST: spec.test_per_class}
    return {
        split: _at_most(splits[split], limit, spec, contents) for split, limit in limits.items()
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
        present = {label for ref in refs for label in ref.classes}
        missing = [repr(name) for label, name in enumerate(names) if label not in present]
        if missing and not (_may_lack(refs, split) and present):
            part = "" if split == ALL else f"{split} "
            raise DataError(
                f"{source.where}: there is no image of the class {listed(missing)} among the "
                f"{len(refs)} {part}images; {_add_images(source.passed)}"
            )


def _may_lack(refs: Sequence[ImageRef], split: str) -> bool:
    """Whether a split may lack a class: of several labels, where nothing is trained on it."""
    return split in (VAL, TEST) and any(isinstance(ref.label, tuple) for ref in refs)


def _add_images(passed: Sequence[PassedOver]) -> str:
    """Say what to do about a class without images, where its files were passed over."""
    noted = passed_text(passed)
    begin = f"passed over were {noted}; " if noted else ""
    return f"{begin}add images or remove the class"


def _with_all_splits(source: SourceImages, spec: DataSpec, contents: Contents) -> Splits:
    splits = {TRAIN: (), VAL: (), TEST: (), **source.splits}
    if VAL in source.splits:
        return splits
    pool = splits.pop(ALL, None)
    test_fraction = 0.0 if pool is None else spec.test_fraction
    splits[TRAIN] = splits[TRAIN] if pool is None else pool
    grouped = any(ref.group is not None for ref in splits[TRAIN])
    if grouped or spec.splits == "stable":
        return _divided(splits, _stable(source, splits[TRAIN], spec, test_fraction, contents))
    return _divided(splits, _ranked(source, splits[TRAIN], spec, test_fraction))


def _ranked(
    source: SourceImages, refs: Sequence[ImageRef], spec: DataSpec, test_fraction: float
) -> dict[str, str]:
    """Return the split of the images by name: the first of each class's shuffle.

    Each has one label.

    Raises:
        DataError: a class has too few images.
    """
    chosen: dict[str, str] = {}
    for label, of_class in _by_label(refs).items():
        n_val, n_test = shares(len(of_class), spec.val_fraction, test_fraction)
        if n_val + n_test >= len(of_class):
            raise _too_few(source, label, of_class)
        names = [ref.name for ref in shuffled(of_class, spec.split_seed)]
        chosen |= dict.fromkeys(names[:n_val], VAL)
        chosen |= dict.fromkeys(names[n_val : n_val + n_test], TEST)
    return chosen


def _stable(
    source: SourceImages,
    refs: Sequence[ImageRef],
    spec: DataSpec,
    test_fraction: float,
    contents: Contents,
) -> dict[str, str]:
    """Return the split of the images by name; each group or content has one, by itself alone.

    Raises:
        DataError: a class has too few groups or contents, or an image cannot be read.
    """
    keys = unit_keys(refs, contents)
    labels = [ref.classes for ref in refs]
    found = hashed_splits(keys, labels, spec.split_seed, spec.val_fraction, test_fraction)
    for split in (TRAIN, VAL) if spec.val_fraction else (TRAIN,):
        of_split = [classes for classes, its in zip(labels, found, strict=True) if its == split]
        present = {label for classes in of_split for label in classes}
        if _may_lack(refs, split) and present:
            continue
        for label, of_class in _by_label(refs).items():
            if label not in present:
                raise _too_few(source, label, of_class)
    return {ref.name: split for ref, split in zip(refs, found, strict=True)}


def unit_keys(refs: Sequence[ImageRef], contents: Contents) -> list[bytes]:
    """Return the key of each image's unit: its group, else its content.

    The images of a class that has hardly any different ones go by their names too, or they could
    not be divided.
    """
    by_content = dict(zip((ref.name for ref in refs), contents.of(refs), strict=True))
    plain = {
        label
        for label, of_class in _by_label(refs).items()
        if len({by_content[ref.name] for ref in of_class}) < min(_FEWEST, len(of_class))
    }
    return [
        _unit_key(ref, by_content[ref.name], with_name=not plain.isdisjoint(ref.classes))
        for ref in refs
    ]


def _unit_key(ref: ImageRef, content: bytes, with_name: bool) -> bytes:
    if ref.group is not None:
        return b"group/" + ref.group.encode("utf-8", "surrogateescape")
    name = ref.name.encode("utf-8", "surrogateescape") if with_name else b""
    return b"image/" + content + name


def _too_few(source: SourceImages, label: int, refs: Sequence[ImageRef]) -> DataError:
    n = "1 image" if len(refs) == 1 else f"{len(refs)} images"
    grouped = any(ref.group is not None for ref in refs)
    together = " in too few groups" if grouped else ""
    return DataError(
        f"{source.where}: the class {source.class_names[label]!r} has {n}{together}, too few for "
        "training and validation; add images or remove the class"
    )


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


def _at_most(
    refs: tuple[ImageRef, ...], limit: int, spec: DataSpec, contents: Contents
) -> tuple[ImageRef, ...]:
    """Keep the first `limit` images of each class's shuffle (0 = all), in their old order."""
    if limit == 0:
        return refs
    kept: set[str] = set()
    for of_class in _by_label(refs).values():
        if spec.splits == "ranked":
            first = shuffled(of_class, spec.split_seed)
        else:
            hashes = dict(zip((ref.name for ref in of_class), contents.of(of_class), strict=True))
            first = sorted(
                of_class,
                key=lambda ref, hashes=hashes: (
                    hash_of(hashes[ref.name], spec.split_seed),
                    ref.name,
                ),  # type: ignore[misc]
            )
        kept |= {ref.name for ref in first[:limit]}
    return tuple(ref for ref in refs if ref.name in kept)


def _by_label(refs: Sequence[ImageRef]) -> dict[int, list[ImageRef]]:
    groups: dict[int, list[ImageRef]] = {}
    for ref in refs:
        for label in ref.classes:
            groups.setdefault(label, []).append(ref)
    return groups


def shuffled(refs: Sequence[ImageRef], seed: int, purpose: str = "") -> list[ImageRef]:
    """Shuffle by a hash of the names: equal on every machine and with every version of NumPy."""

    def key(ref: ImageRef) -> bytes:
        text = f"{seed}/{purpose}{ref.name}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

    return sorted(refs, key=key)
