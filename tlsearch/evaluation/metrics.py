"""Figures on predicted probabilities: scikit-learn's, in the shapes that a test needs."""

from collections.abc import Sequence
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
from tlsearch.measures import average_precision_of_each, per_image, right_of
from tlsearch.records.objective import (
    MEAN_AVERAGE_PRECISION,
    THRESHOLD,
    Objective,
    figure_of,
)

Confusion = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good predictions are.

    Attributes:
        accuracy: top-1, a fraction; of several labels an image all of them.
        balanced_accuracy: mean recall of the classes, a fraction; None of several labels.
        macro_f1: mean F1 of the classes; 0 for a class that is never predicted.
        log_loss: in nats.
        ece: expected calibration error, a fraction.
        mean_average_precision: a fraction; None of one label an image.
    """

    accuracy: float
    balanced_accuracy: float | None
    macro_f1: float
    log_loss: float
    ece: float
    mean_average_precision: float | None = None


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """How good predictions are on one class.

    Attributes:
        recall, precision, f1: fractions; `precision` is None where it is never predicted, `recall`
            where it has no image.
        average_precision: of several labels an image; None otherwise, and without an image.
    """

    recall: float | None
    precision: float | None
    f1: float
    average_precision: float | None = None


def metrics_of(probabilities: Probabilities, labels: Labels) -> Metrics:
    """Return the figures of predictions for images of all classes.

    Args:
        probabilities: (n, n_classes), rows sum to 1.
        labels: (n,), class indices; each class occurs. Of several labels an image (n, n_classes) of
            0 and 1, and some class occurs.
    """
    if labels.ndim == 2:
        return _of_several(probabilities, labels)
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


def _of_several(probabilities: Probabilities, labels: Labels) -> Metrics:
    def figure(objective: Objective) -> float:
        return figure_of(objective, float(per_image(objective, probabilities, labels).mean()))

    return Metrics(
        accuracy=float(right_of(probabilities, labels).mean()),
        balanced_accuracy=None,
        macro_f1=figure("macro_f1"),
        log_loss=figure("log_loss"),
        ece=calibration_error(probabilities, labels),
        mean_average_precision=figure(MEAN_AVERAGE_PRECISION),
    )


def class_metrics_of_several(models: Sequence[Probabilities], labels: Labels) -> list[ClassMetrics]:
    """Return the figures of each class where images have several labels, of some models together.

    Recall, precision and F1 count each image once for each model; average precision is their mean.

    Args:
        models: (n, n_classes) of each model.
        labels: (n, n_classes) of 0 and 1.
    """
    has, said = labels == 1, np.stack([each >= THRESHOLD for each in models])
    hits, predicted = (said & has).sum(axis=(0, 1)), said.sum(axis=(0, 1))
    images = len(models) * has.sum(axis=0)
    precision = np.mean([average_precision_of_each(each, labels) for each in models], axis=0)
    return [
        ClassMetrics(
            recall=float(hit / n) if n else None,
            precision=float(hit / times) if times else None,
            f1=float(2 * hit / (n + times)) if n + times else 0.0,
            average_precision=float(average) if n else None,
        )
        for hit, n, times, average in zip(hits, images, predicted, precision, strict=True)
    ]


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
    """Return the images whose prediction is wrong, the most certain first, at most so many.

    Of several labels an image goes by its most certain wrong answer (`wrong_shares`).
    """
    if labels.ndim == 2:
        shares = wrong_shares(probabilities, labels)
        order = np.argsort(-shares, kind="stable")
        return [int(image) for image in order[:most] if shares[image] > 0]
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return [int(image) for image in wrong[order][:most]]


def wrong_shares(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Return the probability of the most certain wrong answer of each image, 0 where all are right.

    Args:
        probabilities: (n, n_classes), of each label.
        labels: (n, n_classes) of 0 and 1.
    """
    said = probabilities >= THRESHOLD
    certain = np.where(said, probabilities, 1 - probabilities)
    found: NDArray[np.float64] = np.where(said != (labels == 1), certain, 0.0).max(axis=1)
    return found
