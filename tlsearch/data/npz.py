"""Reads a .npz file with images and labels."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.arrays import LabelledArrays, array_source
from tlsearch.data.formats import ARRAYS
from tlsearch.data.pointers import what_instead
from tlsearch.data.references import ALL, TEST, TRAIN, VAL, PassedOver, SourceImages
from tlsearch.data.scan import NOW, Rules
from tlsearch.data.split_names import split_of
from tlsearch.errors import DataError

PAIRS = {
    TRAIN: ("x_train", "y_train"),
    VAL: ("x_val", "y_val"),
    TEST: ("x_test", "y_test"),
    ALL: ("images", "labels"),
}

CLASS_NAMES = "class_names"

Arrays = dict[str, NDArray[Any]]


def read_npz(path: Path, where: str, rules: Rules = NOW) -> SourceImages:
    """Read `x_train, y_train[, x_val, y_val][, x_test, y_test]` or `images, labels`.

    A text array `class_names` is optional.

    Args:
        path: the file.
        where: its name for the user, for messages.
        rules: whether splits under other names are refused.

    Raises:
        DataError: the file is broken, or an array is missing or has a wrong type or shape.
    """
    arrays = _load(path, where)
    wanted = (TRAIN, VAL, TEST) if "x_train" in arrays or "y_train" in arrays else (ALL,)
    splits = {split: _pair(where, arrays, *PAIRS[split]) for split in wanted}
    found = {split: pair for split, pair in splits.items() if pair is not None}
    if not found:
        raise DataError(
            f"{where}: has {', '.join(sorted(arrays)) or 'no arrays'}; it must have x_train and "
            "y_train, or images and labels"
        )
    read = {CLASS_NAMES}.union(*(PAIRS[split] for split in found))
    left = sorted(set(arrays) - read)
    if rules.strict:
        _check_left(where, left)
    source = array_source(where, found, _class_names(where, arrays))
    return replace(source, passed=(PassedOver(ARRAYS, tuple(left), len(left)),)) if left else source


def _check_left(where: str, names: Sequence[str]) -> None:
    """Refuse a split under a name that is not read: without it one would be made up."""
    for name in names:
        split = split_of(name.removeprefix("x_").removeprefix("y_"))
        if split is not None:
            array = PAIRS[split][int(name.startswith("y_") or "label" in name)]
            raise DataError(
                f"{where}: {name} is not read; name it {array}, or leave it out of the file"
            )


def _load(path: Path, where: str) -> Arrays:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise zipfile.BadZipFile
            return {name: _array(archive, name, where) for name in archive.files}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error):
        what = what_instead(path) or "is not a readable .npz file; write it again with numpy.savez"
        raise DataError(f"{where}: {what}") from None


def _array(archive: "np.lib.npyio.NpzFile", name: str, where: str) -> NDArray[Any]:
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise DataError(
            f"{where}: {name} is an array of Python objects; save images as uint8 and labels as "
            "integers"
        ) from None


def _pair(where: str, arrays: Arrays, images: str, labels: str) -> LabelledArrays | None:
    if images not in arrays and labels not in arrays:
        return None
    for name, other in ((images, labels), (labels, images)):
        if name not in arrays:
            raise DataError(f"{where}: has {other} but no {name}; add it")
    return LabelledArrays(images, labels, arrays[images], arrays[labels])


def _class_names(where: str, arrays: Arrays) -> tuple[str, ...] | None:
    names = arrays.get(CLASS_NAMES)
    if names is None:
        return None
    if names.dtype.kind != "U" or names.ndim != 1 or names.size == 0:
        raise DataError(
            f"{where}: class_names is {names.dtype} of shape {names.shape}; it must be text of "
            "shape (classes,)"
        )
    if len(set(names.tolist())) < len(names):
        raise DataError(f"{where}: class_names has a name twice; give each class its own name")
    return tuple(str(name) for name in names)
