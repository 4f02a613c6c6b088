"""How good the frozen features alone are: the accuracy of a linear classifier on them.

Plested et al., section 4.1 and Table 1, column "fixed features classification". The paper trains a
fully connected layer; ours is `linear_probe`, which is chosen on the training images alone.
"""

from dataclasses import dataclass

from tlsearch.measures.features import Features
from tlsearch.measures.kept_probe import kept_linear_probe
from tlsearch.measures.linear_probe import LinearProbe


@dataclass(frozen=True, slots=True)
class FixedFeatures:
    """A linear classifier on frozen features, and how good it is.

    Attributes:
        val_accuracy: top-1 on validation, a fraction.
        probe: the classifier.
    """

    val_accuracy: float
    probe: LinearProbe


def fixed_features(train: Features, val: Features) -> FixedFeatures:
    """Fit a linear classifier to the features of the training images and validate it.

    Raises:
        DataError: the training images are all of one class.
    """
    n_classes = 1 + int(max(train.labels.max(), val.labels.max()))
    probe = kept_linear_probe(train, n_classes)
    return FixedFeatures(probe.accuracy(val), probe)
