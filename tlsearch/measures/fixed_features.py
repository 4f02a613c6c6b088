"""How good the frozen features alone are: the accuracy of a linear classifier on them.

Plested et al., section 4.1 and Table 1, column "fixed features classification". The paper trains a
fully connected layer; ours is `linear_probe`, which is chosen on the training images alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from tlsearch.measures.features import Features, Labels, Matrix
from tlsearch.measures.kept_probe import kept_linear_probe
from tlsearch.measures.linear_probe import LinearProbe, Mask
from tlsearch.measures.per_image import Values, per_image, right_of
from tlsearch.records.objective import Objective, accuracy_or_precision


@dataclass(frozen=True, slots=True)
class FixedFeatures:
    """A linear classifier on frozen features, and how good it is.

    Attributes:
        val_accuracy: top-1 on validation, a fraction.
        probe: the classifier, fitted to all training images.
        right: which validation images are predicted right, bool (n_val,); of several labels those
            all of whose labels are.
        shares: the probabilities of the classes for each of them, float64 (n_val, n_classes).
        labels: theirs, as of their features.
    """

    val_accuracy: float
    probe: LinearProbe
    right: Mask
    shares: Values
    labels: Labels

    @property
    def values(self) -> Values:
        """What each validation image is worth, float64 (n_val,): their mean is `score`."""
        return self.worth(accuracy_or_precision(several=self.labels.ndim == 2))

    @property
    def score(self) -> float:
        """The accuracy; of several labels an image the mean average precision."""
        return float(self.values.mean())

    def worth(self, objective: Objective) -> Values:
        """Return what each validation image is worth by an objective, float64 (n_val,)."""
        return per_image(objective, self.shares, self.labels)


def fixed_features(train: Features, val: Features, *, folds: Labels | None = None) -> FixedFeatures:
    """Fit a linear classifier to the features of the training images and validate it.

    Args:
        train: of the training images.
        val: of the validation images.
        folds: int64 (n,), of each image; training and validation images are then the same, and each
            fold is validated by a classifier that was fitted to the others.

    Raises:
        DataError: the training images are all of one class.
    """
    several = train.labels.ndim == 2
    of_labels = train.labels, val.labels
    n_classes = train.labels.shape[1] if several else 1 + int(max(e.max() for e in of_labels))
    probe = kept_linear_probe(train, n_classes)
    if folds is None:
        logits = probe.logits(val.values)
    else:
        logits = logits_of_folds(probes_of_folds(train, folds, n_classes), val, folds)
    logits = logits.astype(np.float64)
    shares = expit(logits) if several else softmax(logits, axis=1)
    right = right_of(shares, val.labels)
    return FixedFeatures(float(right.mean()), probe, right, shares, val.labels)


def probes_of_folds(features: Features, folds: Labels, n_classes: int) -> tuple[LinearProbe, ...]:
    """Return for each fold a classifier that was fitted to the others.

    Args:
        features: of n images.
        folds: int64 (n,), of each image, from 0.
        n_classes: outputs.

    Raises:
        DataError: the images of all folds but one are of one class.
    """
    return tuple(
        kept_linear_probe(features.taken(folds != fold), n_classes)
        for fold in range(1 + int(folds.max()))
    )


def logits_of_folds(probes: Sequence[LinearProbe], features: Features, folds: Labels) -> Matrix:
    """Return the outputs for each image by the classifier of its fold, float32 (n, n_classes)."""
    found = np.empty((len(folds), len(probes[0].bias)), np.float32)
    for fold, probe in enumerate(probes):
        found[folds == fold] = probe.logits(features.values[folds == fold])
    return found
