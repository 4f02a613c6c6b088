"""The interval of mean average precision: images and seeds are drawn again (the bootstrap).

Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13: the percentile
interval. Accuracies have a formula (`tlsearch.evaluation.intervals`); this figure is skewed where
it is near 1, and a drawn interval is skewed as well.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlsearch.evaluation.calibration import Labels
from tlsearch.evaluation.combine import Probabilities
from tlsearch.evaluation.intervals import LEVEL, Interval

DRAWS = 1000
_AT_ONCE = 2_000_000  # values of one array

Values = NDArray[np.float64]


def drawn_interval(
    models: Sequence[Probabilities], labels: Labels, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Return the mean average precision of some models with its 95 % interval.

    Each draw takes as many images as there are, with replacement, the same for all models, and as
    many models. A class without an image in a draw counts in no mean of it. What the drawn models
    add is scaled by the root of s / (s - 1), as the spread of s figures drawn from themselves is
    too small by that.

    Args:
        models: (n, n_classes), probabilities by each.
        labels: (n, n_classes) of 0 and 1; some class has an image.
        draws: how many.
        seed: of the draws.
    """
    n, s, generator = len(labels), len(models), np.random.default_rng(seed)
    as_they_are = np.ones((1, n), np.int64)
    mean = float(np.mean([_figures(each, labels, as_they_are) for each in models]))
    step = max(1, _AT_ONCE // n)
    parts = []
    for start in range(0, draws, step):
        counts = generator.multinomial(n, np.full(n, 1 / n), size=min(step, draws - start))
        parts.append(np.stack([_figures(each, labels, counts) for each in models]))
    figures = np.concatenate(parts, axis=1)
    found = figures.mean(axis=0)
    if s > 1:
        drawn = generator.integers(s, size=(s, draws))
        spread = np.take_along_axis(figures, drawn, axis=0).mean(axis=0) - found
        found = found + math.sqrt(s / (s - 1)) * spread
    low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(mean, max(0.0, min(low, mean)), min(1.0, max(high, mean)))


def _figures(shares: Probabilities, labels: Labels, counts: NDArray[np.int64]) -> Values:
    """Return the mean average precision of each draw (draws,), which counts images so often."""
    sums, classes = np.zeros(len(counts)), np.zeros(len(counts))
    for number in np.flatnonzero(labels.any(axis=0)):
        found = _precisions(shares[:, number], labels[:, number], counts)
        classes += np.isfinite(found)
        sums += np.nan_to_num(found)
    with np.errstate(invalid="ignore"):
        mean: Values = sums / classes
    return mean


def _precisions(scores: Values, has: Labels, counts: NDArray[np.int64]) -> Values:
    """Return the average precision of one class in each draw; NaN where no image has it."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(scores) - 1)
    weights = counts[:, order].astype(np.float64)
    depth = np.cumsum(weights, axis=1)[:, ends]
    hits = np.cumsum(weights * (has[order] == 1), axis=1)[:, ends]
    steps = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore"):
        found: Values = (steps * hits / np.maximum(depth, 1)).sum(axis=1) / hits[:, -1]
    return found
