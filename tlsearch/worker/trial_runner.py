"""Claims trials of one study and runs them."""

import logging
import uuid
from collections.abc import Callable

from tlsearch.records import TrialRecord
from tlsearch.store.claims import Claim, Refusal
from tlsearch.worker.attempt import Attempt
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.duplicates import Duplicates
from tlsearch.worker.endings import Complete, Duplicate, Ending, Floor, Released
from tlsearch.worker.floor import FixedFeatures
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.materials import TrainingMaterials
from tlsearch.worker.optuna_trials import RunningTrials

_log = logging.getLogger(__name__)


class TrialRunner:
    """Runs trials of one study, one after the other.

    From the moment a trial is being claimed until `run` returns, signals are held: the first one
    asks the training to stop at its next step, and only then, with the trial back in the queue,
    does it end the worker. So `claim` holds them, and `run` (or a refusal) releases them.

    Args:
        context: what the worker needs to work on the study.
        materials: what it trains with.
        trials: Optuna's side of the study's trials.
        on_complete: called when a trial is complete and recorded; raises nothing.
    """

    def __init__(
        self,
        context: WorkerContext,
        materials: TrainingMaterials,
        trials: RunningTrials,
        on_complete: Callable[[], None] = lambda: None,
    ) -> None:
        self._context = context
        self._materials = materials
        self._trials = trials
        self._duplicates = Duplicates(context.study.spec.recipe.seed)
        self._fixed = FixedFeatures(context, materials)
        self._on_complete = on_complete

    def claim(self, keep: int = 0) -> Claim | Refusal:
        """Claim the study's next trial; a claim has to be followed by `run`.

        Args:
            keep: trials of the budget to leave for what will be queued.

        Raises:
            StudyError: the study was deleted.
            DatabaseAway: the database stayed away.
        """
        token = str(uuid.uuid4())
        self._context.signals.hold()
        try:
            outcome = self._context.retry.call(lambda: self._context.claims.claim(token, keep))
        except BaseException:
            self._context.signals.release()
            raise
        if isinstance(outcome, Refusal):
            self._context.signals.release()
        return outcome

    def run(
        self, claim: Claim, on_ended: Callable[[TrialRecord], None] = lambda _: None
    ) -> TrialRecord | None:
        """Run a claimed trial and record how it ended.

        Args:
            claim: the trial.
            on_ended: told how the attempt ended, also where a signal came meanwhile, which this
                obeys then.

        Returns:
            The trial as the database holds it; None where it was released or is another worker's.

        Raises:
            DatabaseAway: the database stayed away; the trial is taken over from its checkpoint.
        """
        try:
            held = HeldTrial.of(self._context, claim, self._materials, self._trials, self._fixed)
            ending = Attempt(held, self._duplicates).run()
            if isinstance(ending, Complete | Floor | Duplicate):
                self._on_complete()
            trial = self._record(claim, ending)
            if trial is not None:
                on_ended(trial)
            return trial
        finally:
            self._trials.close(claim.trial_id)
            self._context.signals.release()

    def _record(self, claim: Claim, ending: Ending | None) -> TrialRecord | None:
        """Return a trial as the database holds it; None where it did not end here."""
        how = type(ending).__name__.lower() if ending else "lost to another worker"
        about = {"study": self._context.study.name, "attempt": claim.attempt}
        _log.info("attempt ended: %s", how, extra=about)
        if ending is None or isinstance(ending, Released):
            return None
        return self._context.retry.call(lambda: self._trials.record(claim.trial_id))
