"""What is kept of a trained trial beside its score: its model and its pictures.

All of it may fail in any way; the trial counts all the same.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from tlsearch.artifacts import picture_attrs, remove_pictures
from tlsearch.errors import DatabaseAway, TrialLost, described
from tlsearch.finetune import model_only
from tlsearch.records import FIXED_FEATURES, PredictedLabel
from tlsearch.store.outages import DATABASE_ERRORS
from tlsearch.worker.checkpoints import remove_files
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.pictures import draw_pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)


def is_among_best(held: HeldTrial, score: float) -> bool:
    """Whether a complete trial is one of those whose models are kept."""
    finished = [t for t in held.trials.finished() if t.user_attrs.get("origin") != FIXED_FEATURES]
    complete = [t for t in finished if t.state is TrialState.COMPLETE]
    better = sum(t.value is not None and t.value >= score for t in complete)
    return better < held.context.study.spec.checkpoints.keep_best


def keep_model(held: HeldTrial, checkpoint: bytes | None) -> bool:
    """Keep the model of a checkpoint; return whether that went well."""
    with harmless(held, "the model of this trial is not kept"):
        return checkpoint is not None and held.files.keep_model(model_only(checkpoint))
    return False


def remove_surplus_models(held: HeldTrial) -> None:
    """Remove the models of trials that are no longer among the best."""
    context = held.context
    keep = context.study.spec.checkpoints.keep_best
    surplus = context.retry.call(lambda: context.claims.surplus_models(keep))
    remove_files(context.artifacts, surplus)
    held.files.remove_earlier()


def save_pictures(
    held: HeldTrial,
    number: int,
    curve: Sequence[float],
    predictions: Sequence[PredictedLabel],
    probabilities: "NDArray[np.float32] | None",
) -> dict[str, str]:
    """Return the attributes that show pictures of a good trial in the dashboard.

    There are none where the validation images were trained on: they would show nothing.
    """
    if held.variation.train_on == "train+val":
        return {}
    images = held.materials.data.val
    class_names = held.context.study.data.class_names
    finished = held.trials.finished()
    with harmless(held, "this trial has no pictures"):
        objective = held.context.study.spec.objective
        pictures = draw_pictures(
            number, curve, predictions, finished, images, class_names, objective, probabilities
        )
        return picture_attrs(held.context.artifacts, pictures)
    return {}


def remove_shown(held: HeldTrial, pictures: Mapping[str, str]) -> None:
    """Remove the pictures that `save_pictures` saved."""
    with harmless(held, "pictures of this trial are left"):
        remove_pictures(held.context.artifacts, pictures)


@contextmanager
def harmless(held: HeldTrial, what: str) -> Iterator[None]:
    """Report what fails in the block, and go on: a full disk, a font. The database's words pass."""
    try:
        yield
    except (DatabaseAway, TrialLost, *DATABASE_ERRORS):
        raise
    except Exception as error:
        report_problem(held, what, error)


def report_problem(held: HeldTrial, what: str, error: Exception) -> None:
    """Show a problem that costs the trial nothing."""
    held.context.progress.preparing(f"{what}: {described(error)}")
    _log.info("%s", what, exc_info=error, extra=about(held))


def about(held: HeldTrial) -> dict[str, object]:
    """Return what log records of a trial carry."""
    return {"study": held.context.study.name, "attempt": held.claim.attempt}
