"""Trials by ranges of one hyperparameter, with how many there are and their median."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

FEWEST = 3  # trials: below that no median is shown
MOST_BINS = 7
_A_DECADE = (3, 2, 1)  # how many bins, the finest first


@dataclass(frozen=True, slots=True)
class Bin:
    """A range of values, its lower end in it.

    Attributes:
        low, high: its ends, in the hyperparameter's own units.
        label: the same in words.
    """

    low: float
    high: float
    label: str

    def holds(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.low <= value < self.high

    def of(self, xs: Sequence[float], ys: Sequence[float]) -> list[float]:
        """Return the ys whose xs lie in it."""
        return [y for x, y in zip(xs, ys, strict=True) if self.holds(x)]


def log_bins(values: Sequence[float]) -> list[Bin]:
    """Return bins of equal width in decades that hold all values, which are above 0."""
    if not values:
        return []
    for a_decade in _A_DECADE:
        first = math.floor(a_decade * math.log10(min(values)) + 1e-9)
        last = math.floor(a_decade * math.log10(max(values)) + 1e-9)
        if last - first < MOST_BINS:
            break
    ends = [10 ** (k / a_decade) for k in range(first, last + 2)]
    return [Bin(a, b, f"{a:.2g} to {b:.2g}") for a, b in pairwise(ends)]


def depth_bins(most: int) -> list[Bin]:
    """Return bins of layers: none, then quarters of the network."""
    ends = sorted({1, *(1 + round(most * quarter / 4) for quarter in range(1, 5))})
    parts = [
        Bin(a - 0.5, b - 0.5, f"{a}" if b - a == 1 else f"{a} to {b - 1}")
        for a, b in pairwise(ends)
    ]
    return [Bin(-0.5, 0.5, "none"), *parts]


def median_of(ys: Sequence[float]) -> float | None:
    """Return the median; None of too few."""
    return median(ys) if len(ys) >= FEWEST else None
