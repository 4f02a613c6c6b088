"""Pictures of a trial for the dashboard."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial


def draw_pictures(
    number: int,
    curve: Sequence[float],
    predictions: Sequence[int],
    finished: Sequence[FrozenTrial],
    labels: Sequence[int],
    class_names: Sequence[str],
) -> dict[str, bytes]:
    """Return PNG pictures by file name: the learning curve among others', the confusion matrix.

    Args:
        number: of the trial.
        curve: its validation accuracies by epoch; empty = there is no picture of it.
        predictions: class index for each validation image.
        finished: the study's finished trials, for the other curves.
        labels: class index of each validation image.
        class_names: by class index.
    """
    # Matplotlib takes seconds to import, and few trials are among the best.
    from tlsearch.report.trial_pictures import confusion_matrix, learning_curve

    others = [
        [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        for trial in finished
        if trial.intermediate_values
    ]
    drawn = {"confusion_matrix.png": confusion_matrix(labels, predictions, class_names)}
    if curve:
        drawn["learning_curve.png"] = learning_curve(curve, others, f"Trial {number}")
    return drawn
