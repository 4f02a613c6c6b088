"""How well the features separate the classes: the class-normalised Fisher score.

Plested et al., section 4.1: F = Tr(Sw^-1 Sb) / Nc, after Fukunaga. With fewer images than features
Sw is singular, and the score of pure noise grows as images run short. So Sw is shrunk (Ledoit and
Wolf 2004), and the score stands beside its floor: the same score with the labels permuted.
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
    """The score and what it would be without any relation to the classes.

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
        """The score in units of its floor; 1 = nothing but noise."""
        return self.score / self.floor


def fisher_score(features: Features, seed: int = 0) -> FisherScore:
    """Score features, and permuted labels on the same features.

    Features are standardised first, so that shrinking treats them alike.

    Raises:
        DataError: one class only, no more images than classes, or features that do not vary.
    """
    values, labels = _usable(features)
    generator = np.random.default_rng(seed)
    order = np.lexsort((*values.T, labels))  # permutations act on a canonical order
    values, labels = values[order], labels[order]
    noise = [normalised_fisher(values, generator.permutation(labels)) for _ in range(PERMUTATIONS)]
    score = normalised_fisher(values, labels)
    return FisherScore(score, float(np.mean(noise)), float(np.std(noise, ddof=1)))


def normalised_fisher(values: Values, labels: Labels, shrinkage: float | None = None) -> float:
    """Return Tr(Sw^-1 Sb) / Nc.

    Sw is the mean squared deviation from the class means and Sb that of the class means from the
    mean, both over images; Sw becomes (1 - s) Sw + s Tr(Sw)/d I.

    Args:
        values: (n, d).
        labels: (n,) integers.
        shrinkage: s in [0, 1]; None = Ledoit and Wolf's estimate.

    Raises:
        DataError: no spread within any class.
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
    except np.linalg.LinAlgError:  # too few different images for any shrinkage to mend
        raise DataError(
            "the training images of a class are too much alike: there is no spread within a class "
            "to measure by; look for copies of one image"
        ) from None
    return float((between.T * solved).sum() / len(counts))


def _usable(features: Features) -> tuple[Values, Labels]:
    n_classes = len(np.unique(features.labels))
    if n_classes < 2:
        raise DataError("the images are all of one class; the Fisher score needs at least two")
    if len(features.labels) <= n_classes:
        raise DataError(
            f"{len(features.labels)} training images of {n_classes} classes leave nothing to "
            "measure the spread within a class by; add images"
        )
    values = features.values.astype(np.float64)
    spread = values.std(axis=0)
    kept = spread > 1e-12 * max(1.0, float(np.abs(values).max()))
    if not kept.any():
        raise DataError("all images have the same features, so there is nothing to measure")
    return (values[:, kept] - values[:, kept].mean(axis=0)) / spread[kept], features.labels
