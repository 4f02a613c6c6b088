"""The sets of images: one file for the product and all arms, another with the test images."""

import fcntl
import hashlib
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlsearch.data import load_catalog
from tlsearch.data.decode import decode, open_rgb
from tlsearch.data.references import ImageRef
from tlsearch.spec import DataSpec

from . import hieroglyphs
from .places import ROOT, Absent, cache, shared

Arrays = dict[str, NDArray[np.generic]]
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

_STUDY, _TEST = ("class_names", "x_train", "y_train", "x_val", "y_val"), ("x_test", "y_test")
_VERSION = 1  # raise it when a set changes


@dataclass(frozen=True)
class Target:
    """A set of images.

    Attributes:
        name: its name.
        horizontal_flip: whether a mirrored image is one of its class.
        make: returns its arrays, given a folder for what it fetches.
    """

    name: str
    horizontal_flip: bool
    make: Callable[[Path], Arrays]

    def prepared(self) -> "Prepared":
        """Return the set's files, made if need be.

        Raises:
            Absent: its source is not here.
        """
        folder = cache() / "images" / f"{self.name}-v{_VERSION}"
        folder.mkdir(parents=True, exist_ok=True)
        found = Prepared(self, folder)
        with (folder / "lock").open("a") as file:  # runs of other targets may use these images
            fcntl.flock(file, fcntl.LOCK_EX)
            if not (found.study.exists() and found.test.exists()):
                arrays = self.make(folder)
                _write(found.test, {name: arrays[name] for name in _TEST})
                _write(found.study, {name: arrays[name] for name in _STUDY})
        return found


@dataclass(frozen=True)
class Prepared:
    """The files of a set of images.

    Attributes:
        target: the set.
        folder: where they are.
    """

    target: Target
    folder: Path

    @property
    def study(self) -> Path:
        """The file for the product and for training: no test images."""
        return self.folder / "study.npz"

    @property
    def test(self) -> Path:
        """The file that this bench alone reads."""
        return self.folder / "test.npz"

    @cached_property
    def arrays(self) -> Arrays:
        """All arrays of both files."""
        found: Arrays = {}
        for path in (self.study, self.test):
            with np.load(path, allow_pickle=False) as archive:
                found |= {name: archive[name] for name in archive.files}
        return found

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.arrays["class_names"])

    def labels(self, part: str) -> Labels:
        """Return int64 (n,) labels of `train`, `val` or `test`."""
        return self.arrays[f"y_{part}"].astype(np.int64)

    def pixels(self, part: str, side: int) -> Pixels:
        """Return uint8 (n, side, side, 3), decoded as the product does."""
        return decoded(self.arrays[f"x_{part}"].astype(np.uint8), side)

    def fingerprint(self) -> str:
        """Return a SHA-256 of all images and labels."""
        digest = hashlib.sha256()
        for name in (*_STUDY, *_TEST):
            array = np.ascontiguousarray(self.arrays[name])
            digest.update(f"{name} {array.shape} {array.dtype}".encode() + array.tobytes())
        return digest.hexdigest()


def decoded(images: Pixels, side: int) -> Pixels:
    """Return square images as uint8 (n, side, side, 3)."""
    refs = (ImageRef(f"[{n}]", 0, image) for n, image in enumerate(images))
    return np.stack([decode(ref, short_side=side) for ref in refs])


def fashion(_: Path) -> Arrays:
    """Return the shipped images; their test part is of Fashion-MNIST's own test set."""
    path = ROOT / "tlsearch" / "data" / "shipped" / "fashion_mnist_30.npz"
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def digits(folder: Path) -> Arrays:
    """Return scikit-learn's digits as bench/search splits them."""
    path = folder / "digits.npz"
    runpy.run_path(str(ROOT / "bench" / "search" / "table.py"))["write_digits"](path)
    with np.load(path, allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive.files}
    return {**found, "class_names": np.array([str(digit) for digit in range(10)])}


def emoji(_: Path) -> Arrays:
    """Return emoji with train and val as in bench/search/emoji.toml, and all others as test.

    Three that look exactly like one of train or val are left out.

    Raises:
        Absent: the images are not here.
    """
    source = shared() / "data" / "emoji"
    if not source.is_dir():
        raise Absent(f"{source} is not here")
    split = partial(DataSpec, path=str(source), val_fraction=0.3, splits="ranked")
    few = load_catalog(split(train_per_class=40, val_per_class=50))
    every = load_catalog(split())
    taken = {ref.name for ref in (*few.train, *few.val)}
    rest = [ref for ref in (*every.train, *every.val, *every.test) if ref.name not in taken]
    found: Arrays = {"class_names": np.array(few.class_names)}
    for part, refs in (("train", few.train), ("val", few.val), ("test", rest)):
        found[f"x_{part}"] = np.stack([np.asarray(open_rgb(ref)) for ref in refs])
        found[f"y_{part}"] = np.array([ref.label for ref in refs])
    seen = {image.tobytes() for part in ("train", "val") for image in found[f"x_{part}"]}
    new = np.array([image.tobytes() not in seen for image in found["x_test"]])
    return {**found, "x_test": found["x_test"][new], "y_test": found["y_test"][new]}


TARGETS = {
    target.name: target
    for target in (
        Target("fashion-30", True, fashion),
        Target("emoji", True, emoji),
        Target("digits", False, digits),
        Target("hieroglyphs", True, hieroglyphs.arrays),
    )
}


def _write(path: Path, arrays: Arrays) -> None:
    half = path.with_suffix(".half")
    with half.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    half.replace(path)
