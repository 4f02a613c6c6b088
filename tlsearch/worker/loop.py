"""Gives each study of a worker its turn, until their budgets or the worker's limits are reached."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tlsearch.errors import MemoryShortage, WorkerStopped
from tlsearch.records import TrialRecord, reason_line
from tlsearch.store.claims import Claim, Refusal
from tlsearch.store.stored_study import StoredStudy
from tlsearch.worker.progress import Progress
from tlsearch.worker.signals import StopSignals
from tlsearch.worker.study_session import StudySession

_SAME_FAILURES = 3
_LONGEST_POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """What a worker did.

    Attributes:
        trials: the trials it ended, in order.
        studies: the name of each one's study.
        budget_spent: whether the studies are done; otherwise the worker reached its own limit.
        why: a clause on why it left.
    """

    trials: tuple[TrialRecord, ...]
    studies: tuple[str, ...]
    budget_spent: bool
    why: str


class Limits:
    """A worker's own limits, beside the study's budget.

    Args:
        max_trials: trials to end at most; None = no limit.
        timeout_seconds: from now on; None = no limit.
    """

    def __init__(self, max_trials: int | None = None, timeout_seconds: float | None = None) -> None:
        self._max_trials = max_trials
        self._deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds

    def reached(self, n_ended: int) -> bool:
        """Whether to claim no more."""
        if self._max_trials is not None and n_ended >= self._max_trials:
            return True
        return self._deadline is not None and time.monotonic() >= self._deadline


class FailureStreak:
    """Stops a worker on which trials keep failing for the same reason."""

    def __init__(self) -> None:
        self._in_a_row: list[tuple[str, int]] = []  # kind of the failure, key of the trial

    def note(self, trial_id: int, trial: TrialRecord | None) -> None:
        """Take in how an attempt ended; None says nothing.

        One trial that fails again and again says nothing of this worker, so it counts once.

        Raises:
            WorkerStopped: three trials in a row failed for the same reason.
        """
        if trial is None:
            return
        kind = trial.reason_kind
        if kind is None or (self._in_a_row and self._in_a_row[-1][0] != kind):
            self._in_a_row = []
        if kind is not None:
            self._in_a_row.append((kind, trial_id))
        if len(set(self._in_a_row)) == _SAME_FAILURES:
            error = MemoryShortage if kind == "out_of_memory" else WorkerStopped
            raise error(
                f"{_SAME_FAILURES} trials in a row failed for the same reason, so this worker "
                f"stops: {reason_line(kind, trial.reason)}"
            )


class WorkerLoop:
    """Takes a trial from each study in turn, runs it, and waits where no study has one."""

    def __init__(
        self,
        sessions: Sequence[StudySession],
        progress: Progress,
        signals: StopSignals,
        limits: Limits,
    ) -> None:
        self._sessions = list(sessions)
        self._progress = progress
        self._signals = signals
        self._limits = limits
        self._failures = FailureStreak()
        self._ended: list[tuple[str, TrialRecord]] = []  # with the name of its study
        self._why: list[str] = []
        self._fruitless: list[str] = []
        self._failed_by: list[str] = []

    def run(self) -> WorkerSummary:
        """Run trials until the budgets or a limit are reached.

        Raises:
            WorkerStopped: three trials in a row failed for the same reason, or all trials of a
                study that is over.
            MemoryShortage: the same, and the reason was too little memory.
        """
        while self._sessions:
            if self._limits.reached(len(self._ended)):
                for session in self._sessions:
                    session.leave()
                return self._summary(False, "this worker's limit is reached")
            if not self._turn() and self._sessions:
                self._signals.requested.wait(min(poll_seconds(s.study) for s in self._sessions))
        if self._fruitless:
            short = all(each.startswith("out_of_memory") for each in self._failed_by)
            raise (MemoryShortage if short else WorkerStopped)("; ".join(self._fruitless))
        return self._summary(True, "; ".join(self._why))

    def _turn(self) -> bool:
        """Give every study a turn, until one had something to do; return whether one had."""
        waiting = []
        for session in list(self._sessions):
            self._progress.at_study(session.study.name)
            outcome = session.next()
            if isinstance(outcome, Refusal):
                if outcome.over:
                    self._leave(session, outcome)
                else:
                    waiting.append((session, outcome))
                continue
            self._sessions.remove(session)  # the others first, next time
            self._sessions.append(session)
            if isinstance(outcome, Claim):
                trial = session.runner.run(outcome, partial(self._trial_ended, session))
                self._failures.note(outcome.trial_id, trial)
            return True
        for session, refusal in waiting[:1]:
            self._progress.at_study(session.study.name)
            self._progress.preparing(refusal.why)
        return False

    def _trial_ended(self, session: StudySession, trial: TrialRecord) -> None:
        if trial.state in ("complete", "pruned", "fail"):
            self._ended.append((session.study.name, trial))
            self._progress.ended(trial)

    def _leave(self, session: StudySession, refusal: Refusal) -> None:
        session.leave()
        session.clean_up()
        self._sessions.remove(session)
        name = session.study.name
        stopped = refusal.verdict == "stopped"
        done = f"study {name!r} is done: {refusal.why}"
        self._why.append(f"study {name!r} was stopped" if stopped else done)
        failure = None if stopped else session.failure_of_all()
        if failure is not None:
            self._failed_by.append(failure)
            self._fruitless.append(
                f"study {name!r} is over ({refusal.why}), and every trial that trained failed: "
                f"{failure}; create a study with a spec that fixes it"
            )

    def _summary(self, budget_spent: bool, why: str) -> WorkerSummary:
        trials = tuple(trial for _, trial in self._ended)
        return WorkerSummary(trials, tuple(name for name, _ in self._ended), budget_spent, why)


def poll_seconds(study: StoredStudy) -> float:
    """Return how long to wait before a study is asked for a trial again."""
    return min(_LONGEST_POLL_SECONDS, study.spec.workers.heartbeat_seconds)
