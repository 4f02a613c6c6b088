"""The records that name images before any of them is decoded."""

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
        name: unique in the data set and the same on every machine: a path below the data
            folder with forward slashes, or an array and an index such as `x_train[7]`.
        label: index into the class names.
        source: the file, or the pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
    """

    name: str
    label: int
    source: Path | Pixels = field(compare=False, repr=False)

    @property
    def place(self) -> str:
        """Where a user finds the image: the file's path, or the name."""
        return str(self.source) if isinstance(self.source, Path) else self.name

    def content(self) -> bytes:
        """Return the bytes that make the image: the file's, or shape and pixels.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(self.source, Path):
            return self.source.read_bytes()
        return f"{self.source.shape}".encode() + self.source.tobytes()

    def digest(self) -> bytes:
        """Return the SHA-256 of the content; raises as `content` does."""
        return hashlib.sha256(self.content()).digest()


@dataclass(frozen=True, slots=True)
class SourceImages:
    """What a source brings, before anything is carved out.

    Attributes:
        where: the path or name the user gave, for messages.
        class_names: in the order of the labels.
        splits: images by split, in order; either `all` alone, or `train` with perhaps `val`
            and `test`.
        ignored: names of files passed over because they are no images of a class.
    """

    where: str
    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[ImageRef, ...]]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """A data set whose split is settled; nothing is decoded yet.

    Attributes:
        class_names: in the order of the labels.
        train, val, test: the images of each split, in the source's order; `test` may be empty.
        ignored: names of files passed over because they are no images of a class.
        fingerprint: SHA-256 (hexadecimal) over class names, split membership and the content
            of the train and val images; equal on two machines that hold the same data.
    """

    class_names: tuple[str, ...]
    train: tuple[ImageRef, ...]
    val: tuple[ImageRef, ...]
    test: tuple[ImageRef, ...]
    ignored: tuple[str, ...]
    fingerprint: str
