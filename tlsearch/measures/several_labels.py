"""What each image adds to a score where images have several labels; see `per_image`."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tlsearch.records import PredictedLabel
from tlsearch.records.objective import THRESHOLD, Objective

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32] | NDArray[np.float64]

_LEAST = 1e-12  # as in `per_image`


def per_image_of_several(
    objective: Objective, probabilities: Probabilities, labels: Labels
) -> Values:
    """Return the value of each image; their mean is the score.

    Args:
        objective: what the score is.
        probabilities: (n, n_classes), of each label.
        labels: (n, n_classes) of 0 and 1.
    """
    return _VALUES[objective](probabilities, labels)


def average_precision_of_each(probabilities: Probabilities, labels: Labels) -> Values:
    """Return the average precision of each class (n_classes,); NaN of one that no image has."""
    return np.array([_precision(p, y)[0] for p, y in zip(probabilities.T, labels.T, strict=True)])


def as_predicted(labels: NDArray[np.int64]) -> tuple[PredictedLabel, ...]:
    """Return labels as predictions are: a class index each, of several labels a tuple of such."""
    if labels.ndim == 1:
        return tuple(labels.tolist())
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in labels)


def _mean_average_precision(probabilities: Probabilities, labels: Labels) -> Values:
    """Mean over the classes that images have of their average precision."""
    present = np.flatnonzero(labels.any(axis=0))
    found = np.zeros(len(labels))
    for k in present:
        average, influence = _precision(probabilities[:, k], labels[:, k])
        found += (average + influence) / len(present)
    return found


def _precision(scores: NDArray[np.floating], has: Labels) -> tuple[float, Values]:
    """Return the average precision A of one class, and each image's influence on it (n,).

    With P(i) the precision down to image i and D(i) the images down to it (those of equal scores
    count as one place), A is the mean of P(i) over the N images that have the label. The derivative
    by the weight of image k is

        1 / N [ y_k (P(k) - A) + sum over such i at or below k of (y_k - P(i)) / D(i) ].
    """
    n, total = len(scores), int(has.sum())
    if total == 0:
        return float("nan"), np.zeros(n)
    order = np.argsort(-scores, kind="stable")
    ordered, y = scores[order], has[order].astype(np.float64)
    is_first = np.append(True, ordered[1:] != ordered[:-1])  # of a run of equal scores
    starts = np.flatnonzero(is_first)
    run = np.cumsum(is_first) - 1
    depth = np.append(starts[1:], n)[run].astype(np.float64)
    precision = np.cumsum(y)[depth.astype(np.int64) - 1] / depth
    average = float((y * precision).sum() / total)
    from_here = starts[run]  # sums over the run itself and all below it
    counts, shares = _sums_down(y / depth), _sums_down(y * precision / depth)
    slope = y * (precision - average) + y * counts[from_here] - shares[from_here]
    influence = np.empty(n)
    influence[order] = n * slope / total
    return average, influence


def _sums_down(values: Values) -> Values:
    """Return the sum of each value and all behind it."""
    found: Values = np.cumsum(values[::-1])[::-1]
    return found


def _macro_f1(probabilities: Probabilities, labels: Labels) -> Values:
    """Mean of F_c = 2 h_c / (n_c + p_c), with h_c hits, n_c images and p_c predictions.

    The influence of an image on F_c is n (2 [hit of c] - F_c ([has c] + [predicted c])) over
    n_c + p_c.
    """
    has, predicted = labels.astype(bool), probabilities >= THRESHOLD
    both = has.sum(axis=0) + predicted.sum(axis=0)
    f1 = 2 * (has & predicted).sum(axis=0) / np.maximum(both, 1)
    each = 2 * (has & predicted) - f1 * (has.astype(np.float64) + predicted)
    k = np.count_nonzero(both)
    found: Values = f1.sum() / k + len(labels) / k * (each / np.maximum(both, 1)).sum(axis=1)
    return found


def _log_loss(probabilities: Probabilities, labels: Labels) -> Values:
    of_answer = np.where(labels == 1, probabilities, 1 - probabilities).astype(np.float64)
    found: Values = np.log(np.maximum(of_answer, _LEAST)).mean(axis=1)
    return found


_VALUES: Mapping[Objective, Callable[[Probabilities, Labels], Values]] = {
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
    "mean_average_precision": _mean_average_precision,
}
