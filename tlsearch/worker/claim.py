"""Who may run which trial.

All decisions are taken under the study's advisory lock: how many trials may still begin, which
worker holds a trial, whether a silent worker's trial goes back into the queue. So budgets are
exact and no trial runs twice, whatever the number of workers and however they die. A stalled trial
returns to the queue as itself, with its number and hyperparameters: nothing is counted twice.
"""

import enum
import uuid
from dataclasses import dataclass

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tlsearch.errors import StudyError, TrialLost
from tlsearch.store.locks import study_lock
from tlsearch.store.studies import StoredStudy
from tlsearch.store.trials import holds, stalled_trials, trial_counts


class Unclaimed(enum.Enum):
    """Why there is no trial to run."""

    DONE = "the budget is spent and no trial runs any more"
    WAIT = "all trials are claimed, but some still run"


@dataclass(frozen=True)
class Claim:
    """A trial that this worker, and no other, may run.

    Attributes:
        trial: Optuna's trial.
        token: what the database knows this claim by; another worker's claim replaces it.
        attempt: from 1.
        reported_epochs: epochs that earlier attempts reported.
    """

    trial: optuna.Trial
    token: str
    attempt: int
    reported_epochs: int

    @property
    def trial_id(self) -> int:
        """Optuna's key of the trial."""
        return self.trial._trial_id


class ClaimDesk:
    """Claims trials of one study, and gives them back or ends them."""

    def __init__(self, storage: RDBStorage, study: StoredStudy, optuna_study: optuna.Study) -> None:
        self._storage = storage
        self._study = study
        self._optuna_study = optuna_study

    def counts(self) -> dict[str, int]:
        """Return the study's trials by state."""
        return trial_counts(self._storage, self._study.study_id)

    def is_done(self) -> bool:
        """Whether the budget is spent and no trial runs any more."""
        counts = self.counts()
        return not counts["running"] and self._begun(counts) >= self._study.spec.budget.trials

    def claim(self, worker: str, keep: int = 0) -> Claim | Unclaimed:
        """Claim the next trial: a queued one, else a new one while the budget lasts.

        Args:
            worker: what to call this worker: host, process, device.
            keep: trials of the budget to leave for what will be queued.

        Raises:
            StudyError: the study was deleted.
        """
        with study_lock(self._storage.engine, self._study.study_id):
            self._requeue_stalled()
            counts = self.counts()
            if self._begun(counts) >= self._study.spec.budget.trials:
                return Unclaimed.WAIT if counts["running"] else Unclaimed.DONE
            if (
                not counts["waiting"]
                and self._begun(counts) + keep >= self._study.spec.budget.trials
            ):
                return Unclaimed.WAIT
            return self._take(worker)

    def hold(self, claim: Claim) -> None:
        """Show a sign of life.

        Raises:
            TrialLost: the trial is no longer this worker's.
        """
        if not holds(self._storage, claim.trial_id, claim.token):
            raise TrialLost(f"trial {claim.trial.number} was taken over by another worker")
        self._storage.record_heartbeat(claim.trial_id)

    def report(self, claim: Claim, epoch: int, val_accuracy: float) -> None:
        """Record the accuracy of an epoch, over what an earlier attempt may have reported.

        Raises:
            TrialLost: the trial is no longer this worker's.
        """
        self.hold(claim)
        if epoch > claim.reported_epochs:
            claim.trial.report(val_accuracy, epoch)
        else:  # Optuna's report would keep the earlier attempt's value
            self._storage.set_trial_intermediate_value(claim.trial_id, epoch, val_accuracy)

    def end(
        self, claim: Claim, state: TrialState, value: float | None, attrs: dict[str, object]
    ) -> None:
        """Record how a trial ended.

        Raises:
            TrialLost: the trial is no longer this worker's; nothing is recorded.
        """
        with study_lock(self._storage.engine, self._study.study_id):
            self.hold(claim)
            for key, attr in attrs.items():
                claim.trial.set_user_attr(key, attr)
            self._optuna_study.tell(claim.trial, value, state)

    def give_back(self, claim: Claim) -> None:
        """Put a trial that this worker cannot finish back into the queue, as if never begun.

        A trial that is another worker's by now is left alone.
        """
        with study_lock(self._storage.engine, self._study.study_id):
            if holds(self._storage, claim.trial_id, claim.token):
                self._storage.set_trial_user_attr(claim.trial_id, "attempt", claim.attempt - 1)
                self._requeue(claim.trial_id)

    @staticmethod
    def _begun(counts: dict[str, int]) -> int:
        """Return how much of the budget is spent; a queued trial has spent none of it yet."""
        return sum(counts[state] for state in ("running", "complete", "pruned", "fail"))

    def _take(self, worker: str) -> Claim:
        try:
            trial = self._optuna_study.ask()
        except KeyError:
            raise StudyError(f"study {self._study.name!r} was deleted") from None
        self._storage.record_heartbeat(trial._trial_id)
        attempt = int(trial.user_attrs.get("attempt", 0)) + 1
        token = uuid.uuid4().hex
        for key, attr in {"claim": token, "worker": worker, "attempt": attempt}.items():
            trial.set_user_attr(key, attr)
        reported = self._storage.get_trial(trial._trial_id).last_step or 0
        return Claim(trial, token, attempt, reported)

    def _requeue_stalled(self) -> None:
        workers = self._study.spec.workers
        for trial_id in stalled_trials(
            self._storage, self._study.study_id, workers.stalled_after_seconds
        ):
            attempts = self._storage.get_trial_user_attrs(trial_id).get("attempt", 1)
            if attempts < workers.max_attempts:
                self._requeue(trial_id)
                continue
            reason = f"stalled: its worker fell silent in each of {attempts} attempts"
            self._storage.set_trial_user_attr(trial_id, "reason", reason)
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _requeue(self, trial_id: int) -> None:
        """Return a running trial to the queue; the claim it ran under is void first."""
        self._storage.set_trial_user_attr(trial_id, "claim", None)
        self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
