"""Intervals of accuracies over seeds and images, and paired comparisons.

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
from scipy.stats import binomtest, norm, t

from tlsearch.records.crossed import Part, crossed
from tlsearch.records.precision import paired_error

LEVEL = 0.95

Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean accuracy with its 95 % interval, fractions."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference of two mean accuracies on the same images, with its 95 % interval.

    Attributes:
        gain: a fraction; negative where the first is behind.
        low, high: the interval.
        p_value: two-sided.
    """

    gain: float
    low: float
    high: float
    p_value: float


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
    spread = _spread(right.astype(np.float64))
    n = float(n_images)
    if spread.variance > 0:
        n = min(mean * (1 - mean) / spread.variance, float(right.size))
    return Interval(mean, *_wilson(mean, n, _quantile(spread.freedom)))


def gain_of(ours: Right, theirs: Right) -> Gain:
    """Return by how much some models are ahead of others on the same images, paired.

    Models are paired by their place: those of the same seed. Where one side has one model (fixed
    features have no seed), it is paired with each of the others. Over several seeds the interval
    and the p-value are those of t, with the variance of seeds and images. One model against one:
    McNemar's exact test, and the interval of a difference of paired proportions. The standard error
    is at least that of one image.

    Args:
        ours: (s, n), whether each model is right on each image.
        theirs: (s, n), or one of the two has one row.
    """
    n_images = ours.shape[1]
    differences = ours.astype(np.float64) - theirs.astype(np.float64)
    gain = float(differences.mean())
    if len(differences) == 1:
        alone, others = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
        error, quantile = paired_error(alone, others, n_images), float(norm.ppf(0.5 + LEVEL / 2))
        p_value = float(binomtest(alone, alone + others).pvalue) if alone + others else 1.0
        return Gain(gain, gain - quantile * error, gain + quantile * error, p_value)
    spread = _spread(differences)
    error, quantile = max(1 / n_images, math.sqrt(spread.variance)), _quantile(spread.freedom)
    p_value = float(2 * t.sf(abs(gain) / error, spread.freedom))
    return Gain(gain, gain - quantile * error, gain + quantile * error, p_value)


def _spread(values: NDArray[np.float64]) -> Part:
    """Return the variance of the mean of values (s, n), s and n above 1, over seeds and images."""
    found = crossed(values)
    if found.seeds.variance <= found.rest.variance:  # no more than their images explain
        return found.images
    return found.both or found.images


def _quantile(freedom: float) -> float:
    return float(t.ppf(0.5 + LEVEL / 2, freedom))


def _wilson(mean: float, n: float, quantile: float) -> tuple[float, float]:
    square = quantile**2
    middle = (mean + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * math.sqrt(mean * (1 - mean) / n + square / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)
