"""How good the frozen features alone are: the accuracy of a linear classifier on them.

Plested et al., section 4.1 and Table 1, column "fixed features classification". The paper trains a
fully connected layer; ours is multinomial logistic regression on standardised features, whose
strength of regularisation is chosen on validation.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlsearch.errors import DataError
from tlsearch.measures.features import Features

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, the inverse of the L2 strength


@dataclass(frozen=True, slots=True)
class FixedFeatures:
    """A linear classifier on frozen features.

    Attributes:
        val_accuracy: top-1 on validation, a fraction.
        strength: the C with that accuracy; the smallest where there are several.
    """

    val_accuracy: float
    strength: float


def fixed_features(train: Features, val: Features) -> FixedFeatures:
    """Fit a classifier for each strength and return the best one on validation.

    Raises:
        DataError: the training images are all of one class.
    """
    if len(np.unique(train.labels)) < 2:
        raise DataError(
            "the training images are all of one class; the measures need at least two: add images"
        )
    scored = [(_accuracy(train, val, strength), strength) for strength in STRENGTHS]
    best, strength = max(scored, key=lambda pair: (pair[0], -pair[1]))
    return FixedFeatures(best, strength)


def _accuracy(train: Features, val: Features, strength: float) -> float:
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # for separable classes
        classifier.fit(train.values.astype(np.float64), train.labels)
    return float(classifier.score(val.values.astype(np.float64), val.labels))
