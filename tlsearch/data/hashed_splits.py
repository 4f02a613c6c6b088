"""Splits by a hash of each image or group alone: what is added or removed moves nothing else.

Each unit (an image, or a group of images) has a place in [0, 1): a hash of its key and the seed.
Below `val_fraction` it is for validation, below `val_fraction + test_fraction` for testing, else
for training. One exception: a class that would be missing from a split gets one unit there, the
nearest (docs/decisions/0015-stable-splits.md).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tlsearch.data.references import TEST, TRAIN, VAL

_LEAST_FOR_TEST = 3  # units of a class, below which none of them need be for testing


@dataclass(slots=True)
class _Unit:
    place: float
    split: str
    labels: set[int] = field(default_factory=set)


def hashed_splits(
    keys: Sequence[bytes],
    labels: Sequence[tuple[int, ...]],
    seed: int,
    val_fraction: float,
    test_fraction: float,
) -> list[str]:
    """Return the split of each image.

    Args:
        keys: of each image; those with equal keys are one unit and stay together.
        labels: the classes of each image.
        seed: of the hash.
        val_fraction: the expected share of validation; 0 = there is none.
        test_fraction: the expected share of testing, likewise.

    Returns:
        `train`, `val` or `test` for each image. A class of too few units is missing from a split.
    """
    units: dict[bytes, _Unit] = {}
    for key, classes in zip(keys, labels, strict=True):
        if key not in units:
            place = _place(key, seed)
            units[key] = _Unit(place, _split(place, val_fraction, test_fraction))
        units[key].labels.update(classes)
    _complete(list(units.values()), val_fraction, test_fraction)
    return [units[key].split for key in keys]


def hash_of(key: bytes, seed: int) -> bytes:
    """Return a hash of a key and a seed."""
    return hashlib.sha256(f"{seed}/".encode() + key).digest()


def _place(key: bytes, seed: int) -> float:
    return int.from_bytes(hash_of(key, seed)[:8], "big") / 2**64


def _split(place: float, val_fraction: float, test_fraction: float) -> str:
    if place < val_fraction:
        return VAL
    return TEST if place < val_fraction + test_fraction else TRAIN


def _complete(units: Sequence[_Unit], val_fraction: float, test_fraction: float) -> None:
    """Let each class have one unit at least in each split that there is."""
    sharing = _Sharing(units)
    by_place = sorted(units, key=lambda unit: unit.place)
    for label in sorted(sharing.totals):
        sharing.fill(label, TRAIN, reversed(by_place), lambda _: True)
        if val_fraction:
            sharing.fill(label, VAL, iter(by_place), sharing.may_leave)
        if test_fraction and sharing.totals[label] >= _LEAST_FOR_TEST:
            sharing.fill(label, TEST, iter(by_place), sharing.may_leave)


class _Sharing:
    """How many units of each class are in each split."""

    def __init__(self, units: Sequence[_Unit]) -> None:
        self.totals = Counter(label for unit in units for label in unit.labels)
        self._counts = Counter((unit.split, label) for unit in units for label in unit.labels)

    def fill(
        self, label: int, split: str, units: Iterator[_Unit], may_move: Callable[[_Unit], bool]
    ) -> None:
        """Move the first of these units that has the class, where the split has none of it."""
        if self._counts[split, label]:
            return
        found = (unit for unit in units if label in unit.labels and may_move(unit))
        if (unit := next(found, None)) is not None:
            for each in unit.labels:
                self._counts[unit.split, each] -= 1
                self._counts[split, each] += 1
            unit.split = split

    def may_leave(self, unit: _Unit) -> bool:
        """Whether the split that a unit is in keeps another of each of its classes.

        A test split need not, which is completed last.
        """
        if unit.split == TEST:
            return True
        return all(self._counts[unit.split, label] > 1 for label in unit.labels)
