"""The records that name images before they are decoded."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

ALL, TRAIN, VAL, TEST = "all", "train", "val", "test"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One labelled image, not yet decoded.

    Attributes:
        name: unique in the data set and equal on every machine: a path inside the data folder
            with forward slashes, or an array and an index such as `x_train[7]`.
        label: index into the class names.
        source: the file, or the pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        bits: how many bits its values use, where the file does not say; None = all.
    """

    name: str
    label: int
    source: Path | Pixels = field(compare=False, repr=False)
    bits: int | None = None

    @property
    def place(self) -> str:
        """Where a user can find the image: the path of the file, or the name."""
        return str(self.source) if isinstance(self.source, Path) else self.name

    def content(self) -> bytes:
        """Return the bytes of the image: those of the file, or shape and pixels.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(self.source, Path):
            return self.source.read_bytes()
        return f"{self.source.shape}".encode() + self.source.tobytes()

    def digest(self) -> bytes:
        """Return the SHA-256 of the content; raises what `content` raises."""
        return hashlib.sha256(self.content()).digest()


@dataclass(frozen=True, slots=True)
class SourceImages:
    """The images of a source, with the splits that the source has.

    Attributes:
        where: the path or name that the user gave, for messages.
        class_names: in the order of the labels.
        splits: images by split, in order; either only `all`, or `train` and perhaps `val` and
            `test`.
        ignored: names of files that are not images of a class.
    """

    where: str
    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[ImageRef, ...]]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """A data set that is split but not decoded.

    Attributes:
        class_names: in the order of the labels.
        train, val, test: the images of each split, in the source's order; `test` may be empty.
        ignored: names of files that are not images of a class.
        fingerprint: SHA-256 (hexadecimal) of the class names, the names and labels of all splits,
            and the content of the train and val images; equal on two machines with the same data.
    """

    class_names: tuple[str, ...]
    train: tuple[ImageRef, ...]
    val: tuple[ImageRef, ...]
    test: tuple[ImageRef, ...]
    ignored: tuple[str, ...]
    fingerprint: str
