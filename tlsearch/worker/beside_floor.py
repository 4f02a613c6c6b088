"""What is kept of a trial beside the fixed features of its study, for the recommended answer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlsearch.finetune.mean import mean_of
from tlsearch.measures import right_alone
from tlsearch.records import FineTuneResult
from tlsearch.records.right import MEAN_RIGHT, VAL_RIGHT, right_as_text
from tlsearch.worker.floor import Probabilities
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.keepsakes import harmless

BESIDE = ("mean_with_fixed_features", "right_alone", "fixed_features_right_alone")


def beside_floor(held: HeldTrial, result: FineTuneResult) -> dict[str, object]:
    """Return the user attributes `BESIDE` of a trial; none where it is not compared with a floor.

    One of several seeds keeps as well which images its mean with fixed features gets right.
    """
    says_nothing = held.variation.train_on == "train+val"
    if says_nothing or result.val_probabilities is None or not held.fixed.compared_with:
        return {}
    labels = held.materials.data.val.labels.cpu().numpy()
    with harmless(held, "this trial is not compared with fixed features"):
        ours, fixed = result.val_probabilities, held.fixed.val_probabilities
        one_of_several = held.variation.seed is not None
        return beside_fixed_features(ours, fixed, labels, keep_right=one_of_several)
    return {}


def right_ones(held: HeldTrial, predictions: Sequence[int]) -> dict[str, object]:
    """Return which validation images a trial gets right, where it is one of several seeds.

    Others do not keep it: a long search has many trials.

    Args:
        held: the trial.
        predictions: class index of each validation image.
    """
    if held.variation.seed is None or held.variation.train_on == "train+val":
        return {}
    labels = held.materials.data.val.labels.cpu().numpy()
    return {VAL_RIGHT: right_as_text(np.array(predictions) == labels)}


def beside_fixed_features(
    ours: Probabilities, fixed: Probabilities, labels: NDArray[np.int64], *, keep_right: bool
) -> dict[str, object]:
    """Return what is kept of a trial beside the fixed features of its study.

    Args:
        ours: of the trial, (n_val, n_classes).
        fixed: of fixed features, likewise.
        labels: the true class of each image, (n_val,).
        keep_right: whether to keep which images their mean gets right.
    """
    right, floor_right = (each.argmax(axis=1) == labels for each in (ours, fixed))
    mean = mean_of(ours, fixed).argmax(axis=1) == labels
    figures = float(mean.mean()), *right_alone(right, floor_right)
    found: dict[str, object] = dict(zip(BESIDE, figures, strict=True))
    return found | ({MEAN_RIGHT: right_as_text(mean)} if keep_right else {})
