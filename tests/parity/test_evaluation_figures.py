"""Figures of predictions, against scikit-learn and plain NumPy."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.metrics import precision_recall_fscore_support, recall_score

from tlsearch.evaluation import (
    calibration_error,
    class_metrics,
    confusion_of,
    ensemble,
    fit_temperature,
    metrics_of,
    most_wrong,
    tempered,
)

N, CLASSES = 400, 6


@pytest.fixture
def logits():
    return np.random.default_rng(3).normal(size=(N, CLASSES)) * 2


@pytest.fixture
def labels(logits):
    """Right for about half of the images; every class occurs."""
    rng = np.random.default_rng(4)
    drawn = rng.integers(CLASSES, size=N)
    return np.where(rng.random(N) < 0.4, logits.argmax(1), drawn)


def plain_ece(probabilities, labels, bins):
    """Equation 3 of Guo et al., image by image."""
    total = 0.0
    for m in range(1, bins + 1):
        members = [
            i for i in range(len(labels)) if (m - 1) / bins < probabilities[i].max() <= m / bins
        ]
        if members:
            accuracy = np.mean([probabilities[i].argmax() == labels[i] for i in members])
            confidence = np.mean([probabilities[i].max() for i in members])
            total += len(members) / len(labels) * abs(accuracy - confidence)
    return total


def test_metrics(logits, labels):
    shares, predicted = softmax(logits, axis=1), logits.argmax(1)
    found = metrics_of(shares, labels)
    assert found.accuracy == np.mean([p == y for p, y in zip(predicted, labels, strict=True)])
    recalls = [np.mean(predicted[labels == c] == c) for c in range(CLASSES)]
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert found.macro_f1 == pytest.approx(
        precision_recall_fscore_support(labels, predicted, average="macro")[2]
    )
    losses = [-log_softmax(row)[y] for row, y in zip(logits, labels, strict=True)]
    assert found.log_loss == pytest.approx(np.mean(losses))
    assert found.ece == pytest.approx(plain_ece(shares, labels, 15))


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error(logits, labels, bins):
    shares = softmax(logits, axis=1)
    assert calibration_error(shares, labels, bins) == pytest.approx(plain_ece(shares, labels, bins))


def test_calibration_error_of_certain_predictions():
    certain = np.eye(4)[[0, 1, 2, 3]]
    assert calibration_error(certain, np.array([0, 1, 2, 3])) == 0
    assert calibration_error(certain, np.array([0, 1, 3, 2])) == 0.5


def test_metrics_of_a_class_that_is_never_predicted():
    shares = np.array([[0.9, 0.1, 0.0], [0.8, 0.1, 0.1], [0.3, 0.6, 0.1]])
    labels = np.array([0, 2, 1])
    found = metrics_of(shares, labels)
    assert found.balanced_accuracy == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)
    never = class_metrics(confusion_of(shares, labels))[2]
    assert (never.recall, never.precision, never.f1) == (0.0, None, 0.0)


def test_classes_are_those_of_scikit_learn(logits, labels):
    shares, predicted = softmax(logits, axis=1), logits.argmax(1)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted)
    confusion = confusion_of(shares, labels)
    found = class_metrics(confusion)
    np.testing.assert_allclose([each.precision or 0.0 for each in found], precision)
    np.testing.assert_allclose([each.recall or 0.0 for each in found], recall)
    np.testing.assert_allclose([each.f1 for each in found], f1)
    for row, column in np.ndindex(CLASSES, CLASSES):
        assert confusion[row, column] == np.sum((labels == row) & (predicted == column))
    # Of several models that count alike, the pooled recall is the mean of theirs.
    other = np.roll(shares, 1, axis=0)
    pooled = class_metrics(confusion + confusion_of(other, labels))
    both = [recall_score(labels, p.argmax(1), average=None) for p in (shares, other)]
    np.testing.assert_allclose([each.recall or 0.0 for each in pooled], np.mean(both, axis=0))


def test_temperature_has_the_least_log_loss(logits, labels):
    too_certain = 3 * logits

    def loss(log_t):
        rows = log_softmax(too_certain / np.exp(log_t[0]), axis=1)
        return -np.mean(rows[np.arange(N), labels])

    expected = float(np.exp(minimize(loss, [0.0], method="Nelder-Mead", tol=1e-9).x[0]))
    found = fit_temperature(softmax(too_certain, axis=1), labels)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found > 3
    scaled = tempered(softmax(too_certain, axis=1), found)
    np.testing.assert_allclose(scaled, softmax(too_certain / found, axis=1), rtol=1e-6)
    assert calibration_error(scaled, labels) < calibration_error(
        softmax(too_certain, axis=1), labels
    )


def test_temperature_of_probabilities_that_are_zero():
    shares = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    found = fit_temperature(shares, np.array([0, 1, 1]))
    assert np.isfinite(tempered(shares, found)).all()


def test_ensemble_is_the_arithmetic_mean(logits):
    members = [softmax(logits * k, axis=1) for k in (1, 2, 5)]
    expected = (members[0] + members[1] + members[2]) / 3
    np.testing.assert_allclose(ensemble(members), expected, rtol=1e-12)
    np.testing.assert_allclose(ensemble(members).sum(1), 1)


def test_most_wrong_are_the_most_certain_ones():
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.99, 0.01]])
    labels = np.array([1, 0, 0, 0])
    assert most_wrong(shares, labels, 9) == [0, 1, 2]
    assert most_wrong(shares, labels, 2) == [0, 1]
