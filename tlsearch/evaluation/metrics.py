"""Figures on predicted probabilities: scikit-learn's, in the shapes that a test needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
)

from tlsearch.evaluation.calibration import Labels, calibration_error
from tlsearch.evaluation.combine import Probabilities

Confusion = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good predictions are.

    Attributes:
        accuracy: top-1, a fraction.
        balanced_accuracy: mean recall of the classes, a fraction.
        macro_f1: mean F1 of the classes; 0 for a class that is never predicted.
        log_loss: in nats.
        ece: expected calibration error, a fraction.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    ece: float


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """How good predictions are on one class.

    Attributes:
        recall, precision, f1: fractions; `precision` is None where it is never predicted.
    """

    recall: float
    precision: float | None
    f1: float


def metrics_of(probabilities: Probabilities, labels: Labels) -> Metrics:
    """Return the figures of predictions for images of all classes.

    Args:
        probabilities: (n, n_classes), rows sum to 1.
        labels: (n,), class indices; each class occurs.
    """
    predicted = probabilities.argmax(axis=1)
    classes = np.arange(probabilities.shape[1])
    return Metrics(
        accuracy=float((predicted == labels).mean()),
        balanced_accuracy=float(balanced_accuracy_score(labels, predicted)),
        macro_f1=float(
            f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)
        ),
        log_loss=float(log_loss(labels, probabilities, labels=classes)),
        ece=calibration_error(probabilities, labels),
    )


def confusion_of(probabilities: Probabilities, labels: Labels) -> Confusion:
    """Return the number of images (n_classes, n_classes) by label (row) and prediction (column)."""
    classes = np.arange(probabilities.shape[1])
    found: Confusion = confusion_matrix(labels, probabilities.argmax(axis=1), labels=classes)
    return found


def class_metrics(confusion: Confusion) -> list[ClassMetrics]:
    """Return recall, precision and F1 of each class, from a confusion matrix with a row each."""
    right = confusion.diagonal()
    images, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        ClassMetrics(
            recall=float(hit / n),
            precision=float(hit / times) if times else None,
            f1=float(2 * hit / (n + times)),
        )
        for hit, n, times in zip(right, images, predicted, strict=True)
    ]


def most_wrong(probabilities: Probabilities, labels: Labels, most: int) -> list[int]:
    """Return the images whose prediction is wrong, the most certain first, at most so many."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return [int(image) for image in wrong[order][:most]]
