"""What is kept of a trial beside its score: its figures, and how it stands to fixed features."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlsearch.finetune.mean import mean_of
from tlsearch.measures import as_predicted, per_image, right_alone, right_of, score_error
from tlsearch.records import FineTuneResult, PredictedLabel
from tlsearch.records.objective import (
    ACCURACY,
    LEAD_ERROR,
    MEAN_SCORE,
    OBJECTIVE,
    OBJECTIVES,
    SCORE_ERROR,
    Figures,
    Objective,
    attr,
)
from tlsearch.records.right import (
    MEAN_RIGHT,
    MEAN_VALUES,
    VAL_RIGHT,
    VAL_VALUES,
    right_as_text,
    values_as_text,
)
from tlsearch.worker.floor import Probabilities
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.keepsakes import harmless

BESIDE = ("mean_with_fixed_features", "right_alone", "fixed_features_right_alone")
COPIED = (  # user attributes that a duplicate takes over
    *map(attr, OBJECTIVES),
    *(OBJECTIVE, SCORE_ERROR, MEAN_SCORE, LEAD_ERROR),
    *BESIDE,
    *(VAL_RIGHT, MEAN_RIGHT, VAL_VALUES, MEAN_VALUES),
)


def shown_figures(figures: Figures | None) -> dict[str, object]:
    """Return the user attributes that hold the figures; what is not finite is left out."""
    found = figures.as_attrs() if figures is not None else {}
    return {name: figure for name, figure in found.items() if math.isfinite(figure)}


def beside_floor(held: HeldTrial, result: FineTuneResult) -> dict[str, object]:
    """Return the standard error of a trial's score, and how the trial stands to fixed features.

    The second is left out where it is not compared with a floor. One of several seeds keeps as well
    what each image is worth to its mean with fixed features.
    """
    study, ours = held.context.study, result.val_probabilities
    if ours is None or held.variation.train_on == "train+val":
        return {}
    found = own_error(held, ours)
    if not held.fixed.compared_with:
        return found
    labels = held.materials.data.val.labels.cpu().numpy()
    with harmless(held, "this trial is not compared with fixed features"):
        fixed, one_of_several = held.fixed.val_probabilities, held.variation.seed is not None
        found |= beside_fixed_features(ours, fixed, labels, keep_right=one_of_several)
        if (objective := study.spec.objective) != ACCURACY:
            found |= _scores_beside(objective, ours, fixed, labels, keep_values=one_of_several)
    return found


def own_error(held: HeldTrial, probabilities: Probabilities) -> dict[str, object]:
    """Return the standard error of a score; none of accuracy, which tells it itself."""
    objective = held.context.study.spec.objective
    if objective == ACCURACY:
        return {}
    labels = held.materials.data.val.labels.cpu().numpy()
    return {SCORE_ERROR: score_error(per_image(objective, probabilities, labels))}


def right_ones(
    held: HeldTrial, predictions: Sequence[PredictedLabel], probabilities: Probabilities | None
) -> dict[str, object]:
    """Return which validation images a trial gets right, where it is one of several seeds.

    Of an objective other than accuracy it is also what each image adds to the score. Others do not
    keep it: a long search has many trials.

    Args:
        held: the trial.
        predictions: class index of each validation image, of several labels a tuple of such.
        probabilities: (n_val, n_classes); None where they are not known.
    """
    if held.variation.seed is None or held.variation.train_on == "train+val":
        return {}
    labels = held.materials.data.val.labels.cpu().numpy()
    right = np.array(
        [said == true for said, true in zip(predictions, as_predicted(labels), strict=True)]
    )
    found: dict[str, object] = {VAL_RIGHT: right_as_text(right)}
    objective = held.context.study.spec.objective
    if objective != ACCURACY and probabilities is not None:
        found[VAL_VALUES] = values_as_text(per_image(objective, probabilities, labels))
    return found


def beside_fixed_features(
    ours: Probabilities, fixed: Probabilities, labels: NDArray[np.int64], *, keep_right: bool
) -> dict[str, object]:
    """Return what is kept of a trial beside the fixed features of its study.

    Args:
        ours: of the trial, (n_val, n_classes).
        fixed: of fixed features, likewise.
        labels: the true class of each image, (n_val,); of several labels (n_val, n_classes).
        keep_right: whether to keep which images their mean gets right.
    """
    right, floor_right = (right_of(each, labels) for each in (ours, fixed))
    mean = right_of(mean_of(ours, fixed, several=labels.ndim == 2), labels)
    figures = float(mean.mean()), *right_alone(right, floor_right)
    found: dict[str, object] = dict(zip(BESIDE, figures, strict=True))
    return found | ({MEAN_RIGHT: right_as_text(mean)} if keep_right else {})


def _scores_beside(
    objective: Objective,
    ours: Probabilities,
    fixed: Probabilities,
    labels: NDArray[np.int64],
    *,
    keep_values: bool,
) -> dict[str, object]:
    """Return the same by an objective other than accuracy."""
    values, floor_values = (per_image(objective, each, labels) for each in (ours, fixed))
    mean = per_image(objective, mean_of(ours, fixed, several=labels.ndim == 2), labels)
    found: dict[str, object] = {
        MEAN_SCORE: float(mean.mean()),
        LEAD_ERROR: score_error(values - floor_values),
    }
    return found | ({MEAN_VALUES: values_as_text(mean)} if keep_values else {})
