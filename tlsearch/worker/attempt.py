"""One attempt at a claimed trial: what comes before the training, and the training itself."""

import logging
import traceback

from tlsearch.backbones import LinearHead
from tlsearch.errors import (
    BackboneError,
    CheckpointError,
    DataError,
    Interrupted,
    MemoryShortage,
    TlsearchError,
    TrialFailure,
    TrialLost,
    first_line,
)
from tlsearch.finetune import curve_of, fine_tune
from tlsearch.records import Failure, FineTuneResult, Hyperparameters, Variation
from tlsearch.spec import RecipeSpec
from tlsearch.store.outages import DATABASE_ERRORS
from tlsearch.worker.callbacks import TrainingCallbacks
from tlsearch.worker.duplicates import Duplicates
from tlsearch.worker.elsewhere import trained_elsewhere
from tlsearch.worker.endings import Complete, Duplicate, Ending, Failed, Pruned, Released
from tlsearch.worker.floor import run_floor
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.optuna_trials import OpenTrial
from tlsearch.worker.recorder import record_ending, remove_files_if_over

_TRACEBACK_CHARACTERS = 4000  # the last ones
_log = logging.getLogger(__name__)


class Attempt:
    """One attempt at one trial.

    Args:
        held: the trial.
        duplicates: the study's complete trials by what they trained.
    """

    def __init__(self, held: HeldTrial, duplicates: Duplicates) -> None:
        self._held = held
        self._context = held.context
        self._duplicates = duplicates

    def run(self) -> Ending | None:
        """Train, and record how that ended.

        Returns:
            The ending; None where the trial is another worker's by now.

        Raises:
            DatabaseAway: the database stayed away.
            SystemExit: stdout was closed; the trial is released.
        """
        try:
            with self._held.reporter:
                ending = self._ending()
                record_ending(self._held, ending)
            return ending
        except TrialLost:
            remove_files_if_over(self._held)
            return None
        except (TlsearchError, *DATABASE_ERRORS):
            self._held.files.wait()
            raise

    def _ending(self) -> Ending:
        """Run the trial up to its end here; turn what stops it into an ending."""
        try:
            return self._train()
        except Interrupted as interrupted:
            return Released(interrupted.checkpoint)
        except TrialFailure as failure:
            return Failed(Failure(failure.kind, str(failure)))
        except MemoryShortage as shortage:
            return Failed(Failure("out_of_memory", str(shortage)))
        except (TlsearchError, *DATABASE_ERRORS):
            raise
        except SystemExit:  # rich raises it where stdout was closed
            self._held.report_checkpoint()
            record_ending(self._held, Released())
            raise
        except Exception as error:
            trace = traceback.format_exc()[-_TRACEBACK_CHARACTERS:]
            return Failed(Failure(type(error).__name__, first_line(error)), trace)

    def _train(self) -> Ending:
        held, retry, trial_id = self._held, self._context.retry, self._held.claim.trial_id
        if self._context.signals.requested.is_set():  # while it was being claimed
            return Released()
        trial = retry.call(lambda: held.trials.open(trial_id))
        self._announce(trial)
        held = self._held = held.opened(trial)
        hyperparameters = retry.call(lambda: held.trials.suggest(trial_id))
        callbacks = TrainingCallbacks(held, trial)
        if trial.is_floor:
            held.write_pending(first_epoch=1)
            return run_floor(held.fixed, trial.number, callbacks.should_stop)
        checkpoint = held.files.latest()
        held.write_pending(len(curve_of(checkpoint)) + 1 if checkpoint else None)
        canonical = hyperparameters.canonical(self._context.study.space.n_body_layers)
        original = self._duplicates.find(held.trials.finished(), canonical, trial.variation)
        if original is not None:
            return Duplicate(original)
        elsewhere = retry.call(lambda: trained_elsewhere(self._context, canonical, trial.variation))
        if elsewhere is not None:
            return elsewhere
        recipe = _recipe(self._context.study.spec.recipe, trial.variation)
        result = self._fine_tune(recipe, hyperparameters, callbacks, checkpoint)
        return (
            Pruned(result) if result.stopped else Complete(trial.number, result, callbacks.trained)
        )

    def _announce(self, trial: OpenTrial) -> None:
        context = self._context
        counts = context.retry.call(self._held.trials.counts)
        attempt = self._held.claim.attempt
        about = {"study": context.study.name, "trial": trial.number, "attempt": attempt}
        _log.info("trial claimed", extra=about)
        context.progress.claimed(trial.number, attempt, counts)
        if trial.variation.train_on == "train+val":
            context.progress.preparing("the validation images are trained on too: val says nothing")

    def _heads(self) -> tuple[LinearHead, tuple[LinearHead, ...]]:
        """Return the linear probe, and those of the folds.

        Raises:
            TrialFailure: the network or the images allow none.
        """
        try:
            return self._held.fixed.head, self._held.fixed.fold_heads
        except (BackboneError, DataError) as error:
            raise TrialFailure("no_features", str(error)) from error

    def _fine_tune(
        self,
        recipe: RecipeSpec,
        hyperparameters: Hyperparameters,
        callbacks: TrainingCallbacks,
        checkpoint: bytes | None,
    ) -> FineTuneResult:
        """Fine-tune from a checkpoint; where that cannot be used, from the start."""
        head, fold_heads = self._heads() if hyperparameters.reinit_layers == 0 else (None, ())
        while True:
            callbacks.resume(checkpoint)
            try:
                return fine_tune(
                    self._held.materials.backbone,
                    self._held.materials.data,
                    recipe,
                    hyperparameters,
                    self._context.device,
                    callbacks.on_epoch,
                    should_stop=callbacks.should_stop,
                    on_checkpoint=callbacks.on_checkpoint,
                    resume=checkpoint,
                    head=head,
                    fold_heads=fold_heads,
                    keep_model=self._context.study.spec.checkpoints.keep_best > 0,
                )
            except CheckpointError as error:
                if checkpoint is None:
                    raise
                self._context.progress.preparing(f"the trial begins again: {error}")
                self._held.write_pending(first_epoch=1)
                checkpoint = None


def _recipe(recipe: RecipeSpec, variation: Variation) -> RecipeSpec:
    """Return the recipe of one trial: with its own seed, where it has one."""
    if variation.seed is None:
        return recipe
    return recipe.model_copy(update={"seed": variation.seed})
