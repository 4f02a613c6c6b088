"""The mean of several models."""

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]

LEAST = 1e-12  # so that one model cannot forbid a class


def mean_of(*probabilities: Probabilities, several: bool = False) -> Probabilities:
    """Return the geometric mean of models' probabilities, each row scaled to a sum of 1.

    This is the softmax of the mean of their log-softmax: a logarithmic opinion pool (Heskes,
    "Selecting weighting factors in logarithmic opinion pools", NIPS 1997). A model that is less
    certain, as one trained with label smoothing is, counts as much in it as a certain one, which
    the arithmetic mean follows. Where an image has several labels, each is a question of its own
    with two answers, and the mean is that of its log odds.

    Args:
        probabilities: float32 (n, n_classes) of each model.
        several: whether an image has several labels.
    """
    if several:
        odds = [_log_odds(each.astype(np.float64)) for each in probabilities]
        together: Probabilities = (1 / (1 + np.exp(-np.mean(odds, axis=0)))).astype(np.float32)
        return together
    logs = [np.log(np.maximum(each, LEAST)) for each in probabilities]
    pooled = np.exp(np.mean(np.stack(logs), axis=0))
    result: Probabilities = (pooled / pooled.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def _log_odds(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log(np.maximum(shares, LEAST) / np.maximum(1 - shares, LEAST))
    return found
