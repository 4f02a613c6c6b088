"""How well the features separate the classes: the class-normalised Fisher score.

Plested et al., section 4.1: F = Tr(Sw^-1 Sb) / Nc, after Fukunaga. With fewer images than features
Sw is singular, and the fewer the images, the higher the score of pure noise. So Sw is shrunk
(Ledoit and Wolf 2004), and the score is compared with its floor: the score of permuted labels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.covariance import ledoit_wolf_shrinkage

from tlsearch.errors import DataError
from tlsearch.measures.features import Features, Labels

Values = NDArray[np.float64]

PERMUTATIONS = 10


@dataclass(frozen=True, slots=True)
class FisherScore:
    """The score, and the score of features without any relation to the classes.

    Attributes:
        score: Tr(Sw^-1 Sb) / Nc.
        floor: its mean over permuted labels.
        floor_spread: standard deviation over permutations.
    """

    score: float
    floor: float
    floor_spread: float

    @property
    def ratio(self) -> float:
        """The score divided by its floor; 1 = no better than noise."""
        return self.score / self.floor


def fisher_score(features: Features, seed: int = 0) -> FisherScore:
    """Return the score of the features, and of the same features with permuted labels.

    The features are standardised first, so that all are shrunk alike.

    Raises:
        DataError: there is one class, as many images as classes, or no varying feature.
    """
    values, labels = _usable(features)
    generator = np.random.default_rng(seed)
    order = np.lexsort((*values.T, labels))  # makes the order of the images irrelevant
    values, labels = values[order], labels[order]
    noise = [normalised_fisher(values, generator.permutation(labels)) for _ in range(PERMUTATIONS)]
    score = normalised_fisher(values, labels)
    return FisherScore(score, float(np.mean(noise)), float(np.std(noise, ddof=1)))


def normalised_fisher(values: Values, labels: Labels, shrinkage: float | None = None) -> float:
    """Return Tr(Sw^-1 Sb) / Nc.

    Sw is the mean over images of the squared deviation from the class mean, Sb that of the class
    mean from the mean of all; Sw is replaced by (1 - s) Sw + s Tr(Sw)/d I.

    Args:
        values: (n, d).
        labels: (n,) integers.
        shrinkage: s in [0, 1]; None = Ledoit and Wolf's estimate.

    Raises:
        DataError: there is no spread within any class.
    """
    _, classes = np.unique(labels, return_inverse=True)
    counts = np.bincount(classes).astype(np.float64)
    means = np.zeros((len(counts), values.shape[1]))
    np.add.at(means, classes, values)
    means /= counts[:, None]
    within = values - means[classes]
    if shrinkage is None:
        shrinkage = float(ledoit_wolf_shrinkage(within, assume_centered=True))
    s_within = within.T @ within / len(values)
    n_features = values.shape[1]
    target = shrinkage * np.trace(s_within) / n_features
    s_within *= 1 - shrinkage
    s_within[np.diag_indices(n_features)] += target
    between = (means - values.mean(axis=0)) * np.sqrt(counts / len(values))[:, None]
    try:
        solved = cho_solve(cho_factor(s_within, overwrite_a=True), between.T)
    except np.linalg.LinAlgError:  # singular in spite of the shrinkage
        raise DataError(
            "the training images of each class are alike: there is no spread within a class, which "
            "the Fisher score needs; remove copies of the same image"
        ) from None
    return float((between.T * solved).sum() / len(counts))


def _usable(features: Features) -> tuple[Values, Labels]:
    n_classes = len(np.unique(features.labels))
    if n_classes < 2:
        raise DataError(
            "the training images are all of one class; the Fisher score needs at least two: add "
            "images"
        )
    if len(features.labels) <= n_classes:
        raise DataError(
            f"there are {len(features.labels)} training images of {n_classes} classes; the Fisher "
            "score needs more images than classes: add images"
        )
    values = features.values.astype(np.float64)
    spread = values.std(axis=0)
    kept = spread > 1e-12 * max(1.0, float(np.abs(values).max()))
    if not kept.any():
        raise DataError(
            "all training images have the same features, so there is nothing to measure; check "
            "that the images differ"
        )
    return (values[:, kept] - values[:, kept].mean(axis=0)) / spread[kept], features.labels
