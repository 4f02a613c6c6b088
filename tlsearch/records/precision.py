"""How precise accuracies are that n images give."""

import math


def standard_error(accuracy: float, n: int) -> float:
    """Return the standard error of an accuracy that n images showed: what to show and compare by.

    It is estimated with one more right and one more wrong, so that an accuracy of 0 or 1 on a few
    images does not count as certain (Laplace).
    """
    return _binomial((accuracy * n + 1) / (n + 2), n)


def share_error(share: float, n: int) -> float:
    """Return the standard error of n images at a share that is known otherwise, as by a model.

    It is above 0 also at a share of 0 or 1. Of what the n images themselves showed it is
    `standard_error`.
    """
    return _binomial(min(max(share, 1 / (n + 2)), 1 - 1 / (n + 2)), n)


def difference_error(b: int, c: int, n: int) -> float:
    """Return the standard error of (b - c) / n: of n images b are right here alone, c there alone.

    sqrt(b + c - (b - c)^2 / n) / n: McNemar, "Note on the sampling error of the difference between
    correlated proportions", Psychometrika 1947.
    """
    return math.sqrt(b + c - (b - c) ** 2 / n) / n


def paired_error(b: int, c: int, n: int) -> float:
    """Return the same, but at least that of one image, so that few do not count as certain."""
    return max(1 / n, difference_error(b, c, n))


def _binomial(p: float, n: int) -> float:
    return math.sqrt(p * (1 - p) / n)
