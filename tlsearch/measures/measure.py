"""All measures that need only features."""

from dataclasses import dataclass

from torch import Tensor

from tlsearch.errors import DataError
from tlsearch.measures.emd import (
    class_means,
    classifier_means,
    earth_movers_distance,
    similarity,
)
from tlsearch.measures.features import Features, Labels
from tlsearch.measures.fisher import FisherScore, fisher_score
from tlsearch.measures.fixed_features import FixedFeatures, fixed_features

PROXY = "proxy: rows of the pretrained classifier"
NOTHING = "nothing known about the source"
OF_ONE_LABEL = "left out, as it goes by the mean image of a class, and classes share images here"


@dataclass(frozen=True)
class FeatureMeasures:
    """The measures of the target that need only frozen features.

    Attributes:
        fixed: the linear classifier.
        fisher: the Fisher score and its floor; None where an image has several labels.
        emd: distance from the source; None where nothing is known about the source, and likewise.
        emd_source: what was taken as the source, or why nothing was.
    """

    fixed: FixedFeatures
    fisher: FisherScore | None
    emd: float | None
    emd_source: str

    @property
    def emd_similarity(self) -> float | None:
        """exp(-0.01 emd)."""
        return None if self.emd is None else similarity(self.emd)


def measure_features(
    train: Features,
    val: Features,
    source: tuple[str, Features] | None = None,
    source_rows: Tensor | None = None,
    folds: Labels | None = None,
) -> FeatureMeasures:
    """Take the measures of Plested et al., Table 1, that need no training of the network.

    Args:
        train: of the training images; Fisher score and distance use only these.
        val: of the validation images.
        source: name and features of images of the source domain; None where there are none.
        source_rows: (n_source_classes, d), the weights of the pretrained classifier, used as the
            source where there are no images of it; None where there are no such weights.
        folds: as for `fixed_features`; Fisher score and distance use all images then.

    Raises:
        DataError: there is one class, as many images as classes, or no varying feature.
    """
    fixed = fixed_features(train, val, folds=folds)
    if train.labels.ndim == 2:
        return FeatureMeasures(fixed, None, None, OF_ONE_LABEL)
    distance, stood = _distance(train, source, source_rows)
    return FeatureMeasures(fixed, fisher_score(train), distance, stood)


def _distance(
    train: Features, source: tuple[str, Features] | None, source_rows: Tensor | None
) -> tuple[float | None, str]:
    target = class_means(train)
    if source is not None:
        where, features = source
        return earth_movers_distance(class_means(features), target), f"images in {where}"
    if source_rows is None:
        return None, NOTHING
    try:
        return earth_movers_distance(classifier_means(source_rows.numpy(), target), target), PROXY
    except DataError:  # the input of the classifier is not the pooled features
        return None, NOTHING
