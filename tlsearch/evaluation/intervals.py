"""Intervals of accuracies over seeds and images; for gains see `tlsearch.report.paired`.

The figure is the mean accuracy of models of several seeds on one set of images, and the question is
what other seeds and other images of the same kind would give. So both count: images are drawn,
seeds are drawn, and each model sees each image. In such a crossed design the variance of the mean
is

    sd_images^2 / n + sd_seeds^2 / s + sd_rest^2 / (n s),

estimated from the mean squares of a two-way analysis of variance without replication
(`tlsearch.records.crossed`). Over the seeds alone it would be far too small: four models that are
right on the same images say little about other images. For one model what is left is the binomial
interval.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from tlsearch.records.crossed import crossed

LEVEL = 0.95

Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean accuracy with its 95 % interval, fractions."""

    mean: float
    low: float
    high: float


def interval_of(right: Right) -> Interval:
    """Return the mean accuracy of some models with its interval over seeds and images.

    It is Wilson's score interval (1927) with the number of images that would give this variance in
    the place of the number of images, and the quantile of t in that of the normal one (Dean and
    Pagano, "Evaluating confidence interval methods for binomial proportions in clustered surveys",
    2015). Of one model it is Wilson's. So it stays within 0 and 1, also where all are right.

    Args:
        right: (s, n), whether each model is right on each image.
    """
    n_models, n_images = right.shape
    mean = float(right.mean())
    if n_models == 1:
        found = binomtest(int(right.sum()), n_images).proportion_ci(LEVEL, method="wilson")
        return Interval(mean, float(found.low), float(found.high))
    spread = crossed(right.astype(np.float64)).counted
    n = float(n_images)
    if spread.variance > 0:
        n = min(mean * (1 - mean) / spread.variance, float(right.size))
    return Interval(mean, *_wilson(mean, n, _quantile(spread.freedom)))


def _quantile(freedom: float) -> float:
    return float(t.ppf(0.5 + LEVEL / 2, freedom))


def _wilson(mean: float, n: float, quantile: float) -> tuple[float, float]:
    square = quantile**2
    middle = (mean + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * math.sqrt(mean * (1 - mean) / n + square / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)
