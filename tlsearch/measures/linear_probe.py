"""A linear classifier on frozen features, as strong as a cheap one can be.

Multinomial logistic regression with an L2 penalty on the features as they are, divided by one
number. How strong the penalty is, cross-validation on the training images alone decides, so the
accuracy on validation is not flattered by that choice. docs/measures.md compares other choices.
Where an image has several labels, it is a logistic regression for each class against the rest, all
with the same penalty, chosen by the sum of their cross-entropies.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from tlsearch.errors import DataError
from tlsearch.measures.features import Features, Labels, Matrix
from tlsearch.measures.folds import folds_of_several

STRENGTHS = tuple(10.0**exponent for exponent in range(-6, 4))  # C: the inverse of the penalty
DEFAULT_STRENGTH = 0.01  # where no class has a second image to choose it with
FOLDS = 5
VERSION = 1  # raise it when the same features give another classifier

_MUCH_WORK = 3e7  # images x dimensions x classes; beyond it one fold is held out, not five
_FOR_ONE_THREAD = 1e9  # likewise; up to it all cores gain little where they are free
_STEPS = 300  # of the optimiser, for one fit
_PAST_THE_BEST = 2  # strengths in a row without a gain end the search

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A linear classifier on pooled features: its class is the largest of W x + b.

    Attributes:
        weight: float32 (n_classes, d).
        bias: float32 (n_classes,).
        strength: the C that was chosen.
        cv_loss: mean cross-entropy of the cross-validation that chose it, nats; None where there
            was none.
    """

    weight: Matrix
    bias: Matrix
    strength: float
    cv_loss: float | None

    def logits(self, values: Matrix) -> Matrix:
        """Return the outputs, float32 (n, n_classes), for features (n, d)."""
        outputs: Matrix = values @ self.weight.T + self.bias
        return outputs

    def right(self, features: Features) -> Mask:
        """Return which images it gets right, bool (n,); each has one label."""
        logits = self.logits(features.values)
        right: Mask = logits.argmax(axis=1) == features.labels
        return right

    def accuracy(self, features: Features) -> float:
        """Return top-1 on labelled features, a fraction."""
        return float(self.right(features).mean())


def right_alone(ours: Mask, theirs: Mask) -> tuple[int, int]:
    """Return how many images one of two classifiers alone gets right, and the other alone.

    Args:
        ours: which images the one gets right, bool (n,).
        theirs: which of the same images the other does.
    """
    return int((ours & ~theirs).sum()), int((theirs & ~ours).sum())


def linear_probe(train: Features, n_classes: int, seed: int = 0) -> LinearProbe:
    """Fit a linear classifier.

    The cross-validation has five folds, fewer where a class has fewer images; the only image of a
    class is never held out. The strength with the lowest cross-entropy wins: first of each decade,
    then the half decades beside the best. Where no class has a second image, the strength is
    `DEFAULT_STRENGTH`.

    Deterministic for the same features and number of threads.

    Args:
        train: of the training images.
        n_classes: outputs.
        seed: of the folds.

    Raises:
        DataError: the training images are all of one class.
    """
    if len(np.unique(train.labels, axis=0)) < 2:
        raise DataError(
            "the training images are all of one class; a classifier needs at least two: add images"
        )
    n, d = train.values.shape
    work = n * min(n, d) * n_classes
    n_folds, generator = FOLDS if work <= _MUCH_WORK else 1, np.random.default_rng(seed)
    several = train.labels.ndim == 2
    folds = (folds_of_several if several else _folds)(train.labels, n_folds, generator)
    with _few_threads(work):
        problem = _Problem.of(train, n_classes)
        strength, loss = _chosen(problem, folds) if folds else (DEFAULT_STRENGTH, None)
        return problem.probe(strength, loss)


def _few_threads(work: int) -> AbstractContextManager[Any]:
    """Let the products of small matrices take one thread.

    Thousands of them follow one another, and on cores that are busy the threads of BLAS wait for
    each other at each (`bench/probe.py --threads`).
    """
    return threadpool_limits(1, user_api="blas") if work <= _FOR_ONE_THREAD else nullcontext()


@dataclass(frozen=True, eq=False)
class _Problem:
    """Scaled features in fewer dimensions.

    The penalty prefers no direction, so the weights lie in the span of the features: n images of
    d > n features are written in n dimensions, and nothing is lost.

    Attributes:
        values: float32 (n, r): centred features divided by `scale`, in the basis.
        basis: (r, d), its rows orthonormal; None = the features' own.
        centre: (d,), the mean image.
        scale: so that the features have a mean variance of 1.
    """

    values: Matrix
    labels: Labels
    n_classes: int
    basis: Values | None
    centre: Values
    scale: float

    @classmethod
    def of(cls, train: Features, n_classes: int) -> "_Problem":
        values = train.values.astype(np.float64)
        centre = values.mean(axis=0)
        values -= centre
        scale = float(np.sqrt((values**2).mean())) or 1.0
        values /= scale
        basis = None
        if len(values) < values.shape[1]:
            basis = np.linalg.svd(values, full_matrices=False)[2]
            values = values @ basis.T
        narrow = values.astype(np.float32)
        return cls(narrow, train.labels, n_classes, basis, centre, scale)

    def probe(self, strength: float, cv_loss: float | None) -> LinearProbe:
        """Fit all images, and write the weights for features as they are."""
        found = _fit(self.values, self.labels, self.n_classes, strength)
        weight = found[:, :-1] if self.basis is None else found[:, :-1] @ self.basis
        weight = weight / self.scale
        bias = found[:, -1] - weight @ self.centre
        narrow = weight.astype(np.float32), bias.astype(np.float32)
        return LinearProbe(*narrow, strength, cv_loss)


def _chosen(problem: _Problem, folds: Sequence[Mask]) -> tuple[float, float]:
    """Return the strength with the lowest loss on the folds, and that loss."""
    losses: dict[float, float] = {}
    starts: list[Values | None] = [None] * len(folds)
    for strength in STRENGTHS:  # upward, each from the last one's weights
        losses[strength] = _loss(problem, folds, strength, starts)
        tried = list(losses.values())
        if len(tried) - 1 - tried.index(min(tried)) >= _PAST_THE_BEST:
            break
    coarse = min(losses, key=lambda each: (losses[each], each))
    for strength in (coarse * 10**-0.5, coarse * 10**0.5):
        losses[strength] = _loss(problem, folds, strength, [None] * len(folds))
    return min(losses.items(), key=lambda item: (item[1], item[0]))


def _loss(
    problem: _Problem, folds: Sequence[Mask], strength: float, starts: list[Values | None]
) -> float:
    """Return the mean cross-entropy of images held out; `starts` become the weights found."""
    values, labels = problem.values, problem.labels
    losses = []
    for number, out in enumerate(folds):
        found = _fit(values[~out], labels[~out], problem.n_classes, strength, starts[number])
        starts[number] = found
        losses.append(_cross_entropies(_logits(values[out], found), labels[out]))
    return float(np.concatenate(losses).mean())


def _fit(
    values: Matrix, labels: Labels, n_classes: int, strength: float, start: Values | None = None
) -> Values:
    """Minimise strength x sum of cross-entropies + |W|^2 / 2; the bias has no penalty.

    Args:
        values: float32 (n, r).
        labels: (n,), or (n, n_classes).
        n_classes: rows of W.
        strength: C.
        start: what this returned for another strength; None = zeros.

    Returns:
        (n_classes, r + 1): W and, as the last column, the bias.
    """
    n, r = values.shape
    several = labels.ndim == 2
    targets = labels.astype(np.float32) if several else np.zeros((n, n_classes), np.float32)
    if not several:
        targets[np.arange(n), labels] = 1.0
    penalty = 1.0 / (strength * n)

    def objective(flat: Values) -> tuple[float, Values]:
        whole = flat.reshape(n_classes, r + 1)
        weight = whole[:, :r]
        logits = _logits(values, whole)
        if several:
            error = (expit(logits) - targets) / n
            loss = float(_cross_entropies(logits, targets).sum()) / n
        else:
            log_p = _log_softmax(logits)
            error = (np.exp(log_p) - targets) / n
            loss = -float((log_p * targets).sum(dtype=np.float64)) / n
        gradient = np.column_stack([error.T @ values + penalty * weight, error.sum(axis=0)])
        return loss + 0.5 * penalty * float((weight**2).sum()), gradient.ravel()

    begin = np.zeros((n_classes, r + 1)) if start is None else start
    options = {"maxiter": _STEPS, "gtol": 1e-5, "ftol": 1e-8}
    found = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options=options)
    weights: Values = found.x.reshape(n_classes, r + 1)
    return weights


def _cross_entropies(logits: Matrix, labels: NDArray[Any]) -> Values:
    """Return the cross-entropy of each image; of several labels the sum over the classes."""
    if labels.ndim == 2:
        found: Values = (np.logaddexp(0, logits) - labels * logits).sum(axis=1, dtype=np.float64)
        return found
    return -np.take_along_axis(_log_softmax(logits), labels[:, None], axis=1).astype(np.float64)


def _logits(values: Matrix, found: Values) -> Matrix:
    narrow = found.astype(np.float32)
    logits: Matrix = values @ narrow[:, :-1].T + narrow[:, -1]
    return logits


def _log_softmax(logits: Matrix) -> Matrix:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Matrix = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _folds(labels: Labels, wanted: int, generator: np.random.Generator) -> list[Mask]:
    """Return masks of the images to hold out, with as equal shares of every class as can be.

    There is none where no class has a second image.
    """
    counts = np.bincount(labels)
    several = np.flatnonzero(counts > 1)
    if len(several) == 0:
        return []
    n_folds = min(FOLDS, int(counts[several].min()))
    fold_of = np.full(len(labels), -1)
    for number in several:
        images = generator.permutation(np.flatnonzero(labels == number))
        fold_of[images] = (np.arange(len(images)) + number) % n_folds
    return [fold_of == fold for fold in range(min(wanted, n_folds))]
