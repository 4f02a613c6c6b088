"""Accuracies of two arms on the same test images: their difference with a 95 % interval.

An accuracy varies because the seeds are few and because the test images are few. Both parts count:

    variance = s_a^2 / n_a + s_b^2 / n_b + s_d^2 / n_images

where s_a and s_b are the standard deviations of an arm's accuracy over its seeds, and s_d that of
the difference between the arms' mean correctness on an image (paired: the same images for both).
The degrees of freedom are Satterthwaite's (1946). What a seed does on one image alone is in both
parts, so the interval is a little wide rather than narrow. An arm with one seed has no such part.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

LEVEL = 0.95

Correct = NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """A difference of two accuracies, fractions.

    Attributes:
        mean: first arm minus second.
        low, high: the ends of the 95 % interval.
    """

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval does not contain zero."""
        return self.low > 0 or self.high < 0


def correctness(predictions: str, labels: str) -> Correct:
    """Return bool (n_images,): is the prediction the label?

    Raises:
        ValueError: there are more of one than of the other.
    """
    if len(predictions) != len(labels):
        raise ValueError(f"{len(predictions)} predictions for {len(labels)} labels")
    found: Correct = np.array(list(predictions)) == np.array(list(labels))
    return found


def difference(first: Correct, second: Correct) -> Difference:
    """Compare two arms.

    Args:
        first: bool (n_seeds, n_images).
        second: bool (n_seeds, n_images), the same images; the number of seeds may differ.

    Raises:
        ValueError: the images are not the same number.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"{first.shape[1]} images cannot be paired with {second.shape[1]}")
    by_image = first.mean(axis=0) - second.mean(axis=0)
    parts = [(by_image.var(ddof=1) / len(by_image), len(by_image) - 1)]
    for arm in (first, second):
        if len(arm) > 1:
            parts.append((arm.mean(axis=1).var(ddof=1) / len(arm), len(arm) - 1))
    variance = float(sum(part for part, _ in parts))
    mean = float(by_image.mean())
    if variance == 0:
        return Difference(mean, mean, mean)
    freedom = variance**2 / sum(part**2 / n for part, n in parts)
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half)
