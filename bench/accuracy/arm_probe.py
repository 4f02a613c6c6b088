"""Arm `probe`: logistic regression on fixed features, the product's own."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import softmax

from tlsearch.data.imageset import packed
from tlsearch.measures.features import Features, features_of
from tlsearch.measures.fixed_features import fixed_features
from tlsearch.spec import RecipeSpec

from .answers import Answer, Outcome, Probabilities, Unit

Classifier = Callable[[Features], Probabilities]


def fitted(train: Features, val: Features) -> Classifier:
    """Fit the product's classifier on frozen features."""
    probe = fixed_features(train, val).probe

    def predict(features: Features) -> Probabilities:
        found: Probabilities = softmax(probe.logits(features.values).astype(np.float64), axis=1)
        return found

    return predict


def run(unit: Unit) -> Outcome:
    """Fit on train, and answer."""
    with unit.clock.running():
        train, val = features(unit, "train"), features(unit, "val")
        predict = fitted(train, val)
    answer = Answer(predict(val), predict(features(unit, "test")))
    return Outcome(answer, unit.clock.seconds)


def features(unit: Unit, part: str) -> Features:
    """Return the pooled features of `train`, `val` or `test`."""
    pixels, labels = unit.pixels(part), unit.prepared.labels(part).tolist()
    size = unit.settings.image_size
    return features_of(
        unit.backbone(),
        lambda: [packed(list(pixels), labels)],
        f"{unit.prepared.fingerprint()}/{part}",
        RecipeSpec(image_size=size, eval_crop=1.0),
        torch.device("cpu"),
        part,
    )
