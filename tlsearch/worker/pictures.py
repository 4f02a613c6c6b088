"""Pictures of a trial for the dashboard."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from tlsearch.data import DeviceImages
from tlsearch.records.objective import ACCURACY, Objective


def draw_pictures(
    number: int,
    curve: Sequence[float],
    predictions: Sequence[int],
    finished: Sequence[FrozenTrial],
    images: DeviceImages,
    class_names: Sequence[str],
    objective: Objective = ACCURACY,
) -> dict[str, bytes]:
    """Return PNG pictures by file name: learning curve, confused classes, sample images.

    Args:
        number: of the trial.
        curve: its scores by epoch; empty = there is no picture of it.
        predictions: class index for each validation image.
        finished: the study's finished trials, for the other curves.
        images: the validation images with their classes.
        class_names: by class index.
        objective: what the scores are.
    """
    # Matplotlib takes seconds to import, and few trials are among the best.
    from tlsearch.report.sample_picture import sample_predictions
    from tlsearch.report.trial_pictures import confusion_matrix, learning_curve

    others = [
        [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        for trial in finished
        if trial.intermediate_values
    ]
    labels = images.labels.tolist()
    drawn = {
        "confusion_matrix.png": confusion_matrix(labels, predictions, class_names),
        "predictions.png": sample_predictions(images.image, labels, predictions, class_names),
    }
    if curve:
        drawn["learning_curve.png"] = learning_curve(curve, others, f"Trial {number}", objective)
    return drawn
