"""Whether probabilities are as often right as they say, and the scaling that makes them so.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks" (ICML 2017).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from tlsearch.evaluation.combine import Probabilities

BINS = 15
_LIMITS = (0.05, 20.0)  # of the temperature
_TINY = np.finfo(np.float64).tiny

Labels = NDArray[np.int64]


def calibration_error(probabilities: Probabilities, labels: Labels, bins: int = BINS) -> float:
    """Return the expected calibration error, a fraction: equation 3 of Guo et al.

    Confidence is the probability of the predicted class. Bins are of equal width and closed above.

    Args:
        probabilities: (n, n_classes), rows sum to 1.
        labels: (n,), class indices; of several labels an image (n, n_classes) of 0 and 1. Then each
            label counts by itself, with its probability as the confidence.
        bins: how many.
    """
    if labels.ndim == 2:
        confidence, right = probabilities.ravel(), labels.ravel()
    else:
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == labels
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    # |sum of right - sum of confidence| of a bin is its gap times the number of its images.
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """Return the temperature with the least log loss on validation images (section 4.2).

    Args:
        probabilities: (n, n_classes), of the validation images.
        labels: (n,), their class indices; of several labels (n, n_classes) of 0 and 1.

    Returns:
        Between 0.05 and 20; above 1 where the model is too certain.
    """
    several = labels.ndim == 2
    logits, rows = _logits(probabilities, several=several), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        if several:
            return float((np.logaddexp(0, scaled) - labels * scaled).mean())
        scaled = log_softmax(scaled, axis=1)
        return float(-scaled[rows, labels].mean())

    bounds = tuple(map(math.log, _LIMITS))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


def tempered(
    probabilities: Probabilities, temperature: float, *, several: bool = False
) -> Probabilities:
    """Return softmax(logits / temperature); the logits are those of the probabilities.

    Of several labels an image sigmoid in place of softmax.
    """
    logits = _logits(probabilities, several=several) / temperature
    scaled: Probabilities = expit(logits) if several else softmax(logits, axis=1)
    return scaled


def _logits(probabilities: Probabilities, *, several: bool) -> Probabilities:
    """Return the logarithms, which differ from a model's logits by a constant a row.

    Of several labels the log odds, which are the logits.
    """
    logits: Probabilities = np.log(np.maximum(probabilities, _TINY))
    return logits - np.log(np.maximum(1 - probabilities, _TINY)) if several else logits
