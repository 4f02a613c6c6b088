"""The records that name images before they are decoded."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.formats import FOREIGN, HIDDEN, Kind
from tlsearch.data.packed_files import PackedFile

Pixels = NDArray[np.uint8]
Label = int | tuple[int, ...]  # of one image: of several labels their classes, upward

ALL, TRAIN, VAL, TEST = "all", "train", "val", "test"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One labelled image, not yet decoded.

    Attributes:
        name: unique in the data set and equal on every machine: a path inside the data folder
            with forward slashes, or an array and an index such as `x_train[7]`.
        label: index into the class names; of several labels a tuple of such, upward, perhaps
            empty.
        source: the file, a file in memory, or the pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        bits: how many bits its values use, where the file does not say; None = all.
        group: of images that must be in one split; None = it may be in any.
        url: where it was fetched from, if it was.
        weight: how much it counts in the loss of training, above 0.
    """

    name: str
    label: Label
    source: Path | PackedFile | Pixels = field(compare=False, repr=False)
    bits: int | None = None
    group: str | None = None
    url: str | None = field(default=None, compare=False, repr=False)
    weight: float = 1.0

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes of the image: one, or of several labels any number."""
        return self.label if isinstance(self.label, tuple) else (self.label,)

    @property
    def place(self) -> str:
        """Where a user can find the image: its address, the path of the file, or the name."""
        if self.url is not None:
            return self.url
        return str(self.source) if isinstance(self.source, Path) else self.name

    def content(self) -> bytes:
        """Return the bytes of the image: those of the file, or shape and pixels.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(self.source, Path | PackedFile):
            return self.source.read_bytes()
        return f"{self.source.shape}".encode() + self.source.tobytes()

    def digest(self) -> bytes:
        """Return the SHA-256 of the content; raises what `content` raises."""
        return hashlib.sha256(self.content()).digest()


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Files that are not images of a class, of one kind.

    Attributes:
        kind: what they are, and what to do.
        names: of files, and of folders (with `/` at the end) whose files are all passed over.
        n_files: files in all.
    """

    kind: Kind
    names: tuple[str, ...]
    n_files: int

    @property
    def text(self) -> str:
        """Return `16 HEIC photos`."""
        number = self.n_files or len(self.names)
        return f"{number} {self.kind.one if number == 1 else self.kind.many}"


def passed_text(passed: Sequence[PassedOver]) -> str:
    """Return `16 HEIC photos (install pillow-heif, or save them as JPEG), 2 archives (...)`.

    Without what is hidden or of other programs; "" where there is nothing else.
    """
    noted = [each for each in passed if each.kind not in (HIDDEN, FOREIGN)]
    return ", ".join(
        f"{each.text} ({each.kind.advice})" if each.kind.advice else each.text for each in noted
    )


@dataclass(frozen=True, slots=True)
class SourceImages:
    """The images of a source, with the splits that the source has.

    Attributes:
        where: the path or name that the user gave, for messages.
        class_names: in the order of the labels.
        splits: images by split, in order; either only `all`, or `train` and perhaps `val` and
            `test`.
        passed: files that are not images of a class, by kind.
    """

    where: str
    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[ImageRef, ...]]
    passed: tuple[PassedOver, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """A data set that is split but not decoded.

    Attributes:
        class_names: in the order of the labels.
        train, val, test: the images of each split, in the source's order; `test` may be empty.
        passed: files that are not images of a class, by kind.
        fingerprint: SHA-256 (hexadecimal) of the class names, the names and labels of all splits,
            and the content of the train and val images; equal on two machines with the same data.
        folds: from 0, of the images of `train` and then `val`, where each is validated once; `val`
            is then the first fold, and `train` all others. None = only `val` is validated.
    """

    class_names: tuple[str, ...]
    train: tuple[ImageRef, ...]
    val: tuple[ImageRef, ...]
    test: tuple[ImageRef, ...]
    passed: tuple[PassedOver, ...]
    fingerprint: str
    folds: tuple[int, ...] | None = None

    @property
    def n_validated(self) -> int:
        """How many images a trial is validated by: those of `val`, or of all folds."""
        return len(self.val if self.folds is None else self.folds)

    def fold_sizes(self) -> list[int]:
        """Return how many images each fold has; empty where there are none."""
        sizes = Counter(self.folds or ())
        return [sizes[fold] for fold in sorted(sizes)]

    def placed(self) -> list[tuple[str, ImageRef]]:
        """Return the images of train and then val with their split, or `fold 1` and so on."""
        splits = [*([TRAIN] * len(self.train)), *([VAL] * len(self.val))]
        if self.folds is not None:
            splits = [f"fold {fold + 1}" for fold in self.folds]
        return list(zip(splits, (*self.train, *self.val), strict=True))

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels."""
        return any(isinstance(ref.label, tuple) for ref in self.train)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of what was passed over and is neither hidden nor of another program."""
        noted = (each.names for each in self.passed if each.kind not in (HIDDEN, FOREIGN))
        return tuple(sorted(name for names in noted for name in names))

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Return how many training, validation and test images each class has."""
        of_split = [
            Counter(label for ref in refs for label in ref.classes)
            for refs in (self.train, self.val, self.test)
        ]
        return {
            name: (of_split[0][label], of_split[1][label], of_split[2][label])
            for label, name in enumerate(self.class_names)
        }
