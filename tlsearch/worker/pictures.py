"""Pictures of a trial for the dashboard."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from tlsearch.data import DeviceImages
from tlsearch.measures import as_predicted, average_precision_of_each
from tlsearch.records import PredictedLabel
from tlsearch.records.objective import ACCURACY, Objective


def draw_pictures(
    number: int,
    curve: Sequence[float],
    predictions: Sequence[PredictedLabel],
    finished: Sequence[FrozenTrial],
    images: DeviceImages,
    class_names: Sequence[str],
    objective: Objective = ACCURACY,
    probabilities: NDArray[np.float32] | None = None,
) -> dict[str, bytes]:
    """Return PNG pictures by file name: learning curve, confused classes, sample images.

    Where images have several labels, the average precision of each class is there in place of the
    confused classes.

    Args:
        number: of the trial.
        curve: its scores by epoch; empty = there is no picture of it.
        predictions: class index for each validation image; of several labels a tuple of such.
        finished: the study's finished trials, for the other curves.
        images: the validation images with their classes.
        class_names: by class index.
        objective: what the scores are.
        probabilities: (n_val, n_classes); only several labels need them.
    """
    # Matplotlib takes seconds to import, and few trials are among the best.
    from tlsearch.report.precision_picture import average_precisions
    from tlsearch.report.sample_picture import sample_predictions
    from tlsearch.report.trial_pictures import confusion_matrix, learning_curve

    others = [
        [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        for trial in finished
        if trial.intermediate_values
    ]
    labels = images.labels.cpu().numpy()
    said, names = _numbered([*as_predicted(labels), *predictions], class_names)
    true, predicted = said[: len(labels)], said[len(labels) :]
    drawn = {"predictions.png": sample_predictions(images.image, true, predicted, names)}
    if labels.ndim == 1:
        drawn["confusion_matrix.png"] = confusion_matrix(true, predicted, class_names)
    elif probabilities is not None:
        found = average_precision_of_each(probabilities, labels)
        counts = labels.sum(axis=0).tolist()
        drawn["average_precision.png"] = average_precisions(found, counts, class_names)
    if curve:
        drawn["learning_curve.png"] = learning_curve(curve, others, f"Trial {number}", objective)
    return drawn


def _numbered(
    labels: Sequence[PredictedLabel], class_names: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Return a number for each label, and the names of the numbers: of several labels all of them.

    Labels that are numbers already stay what they are.
    """
    single = [label for label in labels if isinstance(label, int)]
    if len(single) == len(labels):
        return single, list(class_names)
    kinds = list(dict.fromkeys(label for label in labels if isinstance(label, tuple)))
    places = {kind: number for number, kind in enumerate(kinds)}
    names = [", ".join(class_names[k] for k in kind) or "(none)" for kind in kinds]
    return [places[label] for label in labels if isinstance(label, tuple)], names
