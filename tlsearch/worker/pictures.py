"""Pictures of a trial for the dashboard."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from tlsearch.records import FineTuneResult


def draw_pictures(
    number: int,
    result: FineTuneResult,
    finished: Sequence[FrozenTrial],
    labels: Sequence[int],
    class_names: Sequence[str],
) -> dict[str, bytes]:
    """Return PNG pictures by file name: the learning curve among others', the confusion matrix.

    Args:
        number: of the trial.
        result: how its training went.
        finished: the study's finished trials, for the other curves.
        labels: class index of each validation image.
        class_names: by class index.
    """
    # Matplotlib takes seconds to import, and few trials are among the best.
    from tlsearch.report.trial_pictures import confusion_matrix, learning_curve

    curve = [report.val_accuracy for report in result.curve]
    others = [
        [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        for trial in finished
    ]
    return {
        "learning_curve.png": learning_curve(curve, others, f"Trial {number}"),
        "confusion_matrix.png": confusion_matrix(labels, result.val_predictions, class_names),
    }
