"""Reads idx files, the format of MNIST and of data sets like it."""

import gzip
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.arrays import LabelledArrays, array_source
from tlsearch.data.formats import OTHER
from tlsearch.data.pointers import what_instead
from tlsearch.data.references import TEST, TRAIN, SourceImages
from tlsearch.data.scan import NOW, Rules, Scan
from tlsearch.data.split_names import split_of
from tlsearch.errors import DataError

PREFIXES = {TRAIN: "train", TEST: "t10k"}
_IDX_NAME = re.compile(r"(.+)-(?:images-idx3|labels-idx1)-ubyte")
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


def holds_idx(folder: Path) -> bool:
    """Return whether the folder has the training images or labels of an idx data set."""
    return any(_find(folder, f"train-{kind}") for kind in (IMAGES, LABELS))


def read_idx(folder: Path, rules: Rules = NOW) -> SourceImages:
    """Read train-* and, if they are there, t10k-* (the test split); plain or .gz.

    Args:
        folder: the folder.
        rules: whether splits under other names are refused.

    Raises:
        DataError: a file is missing or broken, or the numbers of images and labels differ.
    """
    arrays = {
        split: _read_pair(folder, prefix)
        for split, prefix in PREFIXES.items()
        if split == TRAIN or any(_find(folder, f"{prefix}-{kind}") for kind in (IMAGES, LABELS))
    }
    source = array_source(str(folder), arrays)
    read = {f"{PREFIXES[split]}-{kind}" for split in arrays for kind in (IMAGES, LABELS)}
    scan = Scan(folder, NOW)
    for path in scan.visible(folder):
        name = path.name.removesuffix(".gz")
        if name in read:
            continue
        match = _IDX_NAME.fullmatch(name)
        if rules.strict and match and split_of(match[1]) is not None:
            raise DataError(
                f"{path}: is not read, for the files of an idx data set begin with "
                f"{' or '.join(f'{prefix}-' for prefix in PREFIXES.values())}; rename it, or move "
                "it away"
            )
        scan.pass_over(OTHER, path)
    return replace(source, passed=scan.passed())


def read_idx_file(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of an idx file of unsigned bytes.

    Args:
        path: the file, plain or .gz.
        dimensions: of the array.

    Raises:
        DataError: the file is truncated, damaged or of another kind.
    """
    content = _content(path)
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, 8, dimensions]):
        what = f"is not an idx file of unsigned bytes with {dimensions} dimensions"
        raise DataError(f"{path}: {what_instead(path) or f'{what}; download it again'}")
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").astype(np.int64).tolist())
    expected = int(np.prod(shape, dtype=object))
    if len(content) - start != expected:
        raise DataError(
            f"{path}: has {len(content) - start} bytes of data, but its header says {expected}; "
            "download it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _read_pair(folder: Path, prefix: str) -> LabelledArrays:
    found = {kind: _find(folder, f"{prefix}-{kind}") for kind in (IMAGES, LABELS)}
    images, labels = found[IMAGES], found[LABELS]
    if images is None or labels is None:
        missing = f"{prefix}-{IMAGES if images is None else LABELS}"
        raise DataError(f"{folder}: has no {missing} or {missing}.gz; add it")
    return LabelledArrays(
        f"{prefix}-images", f"{prefix}-labels", read_idx_file(images, 3), read_idx_file(labels, 1)
    )


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        what = what_instead(path) or f"cannot be read to its end ({error}); download it again"
        raise DataError(f"{path}: {what}") from None
