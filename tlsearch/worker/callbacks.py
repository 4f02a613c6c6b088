"""What the engine calls while it trains: after an epoch, with a checkpoint, after each step."""

import math

from tlsearch.errors import TlsearchError, TrialFailure, described
from tlsearch.finetune import curve_of
from tlsearch.records import Decision, EpochReport
from tlsearch.records.objective import words
from tlsearch.store.outages import DATABASE_ERRORS, is_outage
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.optuna_trials import OpenTrial


class TrainingCallbacks:
    """The callbacks of one fine-tuning.

    Args:
        held: the trial.
        trial: the same as Optuna has it.

    Attributes:
        trained: the checkpoint of the last epoch, once there is one.
    """

    def __init__(self, held: HeldTrial, trial: OpenTrial) -> None:
        self._held = held
        self._trial = trial
        self._epochs = held.context.study.spec.recipe.epochs
        self._objective = held.context.study.spec.objective
        self._every_epochs = held.context.study.spec.checkpoints.every_epochs
        self.trained: bytes | None = None

    def resume(self, checkpoint: bytes | None) -> None:
        """Begin with the epochs of a checkpoint; the database may have missed the last of them."""
        self._trial.curve.clear()
        curve = curve_of(checkpoint) if checkpoint else ()
        for report in curve:
            self._take(report)
        if checkpoint and len(curve) == self._epochs:
            self.trained = checkpoint  # only the end was missing

    def on_epoch(self, report: EpochReport) -> Decision:
        """Report an epoch; say whether the trial is to be pruned.

        Raises:
            TrialFailure: `nan` if its score is not finite.
        """
        held = self._held
        held.files.wait()  # what is reported is at most one epoch ahead of what is on disk
        self._take(report)
        held.context.progress.epoch(self._trial.number, report)
        # Epochs that an earlier attempt reported were judged then; offline there is nothing new.
        if not self._trial.may_prune or report.epoch <= self._trial.reported or held.reporter.away:
            return Decision.CONTINUE
        try:
            return Decision.STOP if self._should_prune() else Decision.CONTINUE
        except TlsearchError:
            raise
        except DATABASE_ERRORS as error:
            if not is_outage(error):
                raise
        except Exception as error:
            held.context.progress.preparing(
                f"the pruner fails, training goes on: {described(error)}"
            )
        return Decision.CONTINUE

    def on_checkpoint(self, checkpoint: bytes) -> None:
        """Keep the checkpoint of the last epoch; write those of others now and then."""
        epoch = len(curve_of(checkpoint))
        if epoch == self._epochs:
            self.trained = checkpoint
        elif epoch % self._every_epochs == 0:
            self._held.save_checkpoint(epoch, checkpoint)

    def should_stop(self) -> bool:
        """Whether to interrupt the training at this step.

        Raises:
            TrialLost: the trial is no longer this worker's.
        """
        self._held.reporter.raise_if_lost()
        return self._held.reporter.should_stop() or self._held.context.signals.requested.is_set()

    def _take(self, report: EpochReport) -> None:
        score = report.score(self._objective)
        if not math.isfinite(score):
            what = f"the {words(self._objective)} on validation"
            raise TrialFailure("nan", f"{what} is not finite in epoch {report.epoch}")
        self._trial.curve[report.epoch] = score
        self._held.reporter.report(report.epoch, score)

    def _should_prune(self) -> bool:
        held = self._held
        prune = held.trials.should_prune(held.claim.trial_id)
        if held.trials.has_pending(held.claim.trial_id):  # what the pruner tells other workers
            held.write_pending()
        return prune
