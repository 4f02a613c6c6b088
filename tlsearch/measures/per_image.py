"""What each image adds to a score, so that two models can be compared image by image.

A score S of n images is a function of the weights of the images, and does not change when all
weights grow alike. An image's value is S plus its influence, n times the derivative of S by its
weight (the infinitesimal jackknife: Efron, "The jackknife, the bootstrap and other resampling
plans", 1982, chapter 6). So the mean of the values is S, and their spread over the root of n is
the standard error of S. Of accuracy the value is whether the image is right; of log loss it is the
logarithm of the probability of its class.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tlsearch.measures.several_labels import per_image_of_several
from tlsearch.records.objective import THRESHOLD, Objective

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32] | NDArray[np.float64]

LEAST = 1e-12  # a probability below this counts as this


def per_image(objective: Objective, probabilities: Probabilities, labels: Labels) -> Values:
    """Return the value of each image; their mean is the score.

    Args:
        objective: what the score is.
        probabilities: float32 (n, n_classes), rows sum to 1; of several labels each from 0 to 1.
        labels: (n,), class indices; of several labels an image (n, n_classes) of 0 and 1.
    """
    if labels.ndim == 2:
        return per_image_of_several(objective, probabilities, labels)
    return _VALUES[objective](probabilities, labels)


def right_of(probabilities: Probabilities, labels: Labels) -> NDArray[np.bool_]:
    """Return which images are right (n,): of several labels those all of whose labels are."""
    right: NDArray[np.bool_]
    if labels.ndim == 2:
        right = ((probabilities >= THRESHOLD) == (labels == 1)).all(axis=1)
    else:
        right = probabilities.argmax(axis=1) == labels
    return right


def score_error(values: Values) -> float:
    """Return the standard error of the mean of values (n,); of one value 1: it says nothing."""
    if len(values) < 2:
        return 1.0
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _accuracy(probabilities: Probabilities, labels: Labels) -> Values:
    return right_of(probabilities, labels).astype(np.float64)


def _balanced_accuracy(probabilities: Probabilities, labels: Labels) -> Values:
    """Mean over the classes c that have images of r_c, the share of right ones.

    The influence of an image of class c is n / (k n_c) (right - r_c), with k classes of n_c images.
    """
    right = _accuracy(probabilities, labels)
    images = np.bincount(labels, minlength=probabilities.shape[1])
    hits = np.bincount(labels, right, minlength=len(images))
    recall = hits / np.maximum(images, 1)
    k = np.count_nonzero(images)
    influence = len(labels) / (k * images[labels]) * (right - recall[labels])
    found: Values = recall.sum() / k + influence
    return found


def _macro_f1(probabilities: Probabilities, labels: Labels) -> Values:
    """Mean over the classes that have images or are predicted of F_c = 2 h_c / (n_c + p_c).

    With h_c hits, n_c images and p_c predictions the influence of an image on F_c is
    n (2 [hit of c] - F_c ([of class c] + [predicted as c])) / (n_c + p_c).
    """
    n, n_classes = probabilities.shape
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    images, times = (np.bincount(each, minlength=n_classes) for each in (labels, predicted))
    both = np.maximum(images + times, 1)
    f1 = 2 * np.bincount(labels[right], minlength=n_classes) / both
    of_label, of_prediction = f1[labels] / both[labels], f1[predicted] / both[predicted]
    k = np.count_nonzero(images + times)
    influence = n / k * (2 * right / both[labels] - of_label - of_prediction)
    found: Values = f1.sum() / k + influence
    return found


def _log_loss(probabilities: Probabilities, labels: Labels) -> Values:
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    found: Values = np.log(np.maximum(of_label, LEAST))
    return found


_VALUES: Mapping[Objective, Callable[[Probabilities, Labels], Values]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
}
