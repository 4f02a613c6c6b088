"""How similar the target is to the source: the earth mover's distance of their class means.

Cui, Song, Sun, Howard, Belongie, "Large scale fine-grained categorization and domain-specific
transfer learning" (CVPR 2018), section 4.1: each class is its mean feature vector, weighted by its
number of images; the ground distance is Euclidean; similarity = exp(-gamma EMD) with gamma 0.01.
Plested et al. find it a poor predictor of the best hyperparameters (section 4.6).
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import ot
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from tlsearch.errors import DataError
from tlsearch.measures.features import Features

GAMMA = 0.01

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """What the earth mover's distance needs of a domain.

    Attributes:
        means: (n_classes, d).
        weights: (n_classes,), summing to 1.
    """

    means: Values
    weights: Values


def class_means(features: Features) -> ClassMeans:
    """Return the mean features of each class and its share of the images."""
    labels, classes, counts = np.unique(features.labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(labels), features.values.shape[1]))
    np.add.at(means, classes, features.values.astype(np.float64))
    return ClassMeans(means / counts[:, None], counts / counts.sum())


def classifier_means(rows: NDArray[np.float32], target: ClassMeans) -> ClassMeans:
    """Return a proxy for the source's class means: the rows of the pretrained classifier.

    A row has the direction of its class but not its scale. So the rows are centred, then scaled to
    the mean distance of the target's class means from their centre. All have the same weight.

    Args:
        rows: (n_source_classes, d), the weights of the pretrained classifier.
        target: the target's class means.

    Raises:
        DataError: the classifier has another number of features than the target.
    """
    if rows.shape[1] != target.means.shape[1]:
        raise DataError(
            f"the pretrained classifier has {rows.shape[1]} input features and the images have "
            f"{target.means.shape[1]}, so it cannot stand for the source; set measures.source"
        )
    centre = np.average(target.means, axis=0, weights=target.weights)
    spread = np.linalg.norm(target.means - centre, axis=1).mean()
    directions = rows.astype(np.float64) - rows.mean(axis=0)
    length = np.linalg.norm(directions, axis=1).mean()
    means = centre + directions * (spread / length if length else 0.0)
    return ClassMeans(means, np.full(len(rows), 1 / len(rows)))


def earth_movers_distance(source: ClassMeans, target: ClassMeans) -> float:
    """Return the least mean distance over which the source's weights must move to the target's.

    It is in the units of the features: compare it only between targets of the same network.
    """
    distances = cdist(source.means, target.means)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(ot.emd2(source.weights, target.weights, distances, numItermax=1_000_000))


def similarity(distance: float) -> float:
    """Return exp(-gamma EMD), in (0, 1]."""
    return math.exp(-GAMMA * distance)
