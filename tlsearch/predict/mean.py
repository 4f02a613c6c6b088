"""The mean of several models."""

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]

LEAST = 1e-12  # so that one model cannot forbid a class


def mean_of(*probabilities: Probabilities) -> Probabilities:
    """Return the geometric mean of models' probabilities, each row scaled to a sum of 1.

    This is the softmax of the mean of their log-softmax: a logarithmic opinion pool (Heskes,
    "Selecting weighting factors in logarithmic opinion pools", NIPS 1997). A model that is less
    certain, as one trained with label smoothing is, counts as much in it as a certain one, which
    the arithmetic mean follows.

    Args:
        probabilities: float32 (n, n_classes) of each model.
    """
    logs = [np.log(np.maximum(each, LEAST)) for each in probabilities]
    pooled = np.exp(np.mean(np.stack(logs), axis=0))
    result: Probabilities = (pooled / pooled.sum(axis=1, keepdims=True)).astype(np.float32)
    return result
