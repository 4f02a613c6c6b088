"""Where trials and studies stand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tlsearch.records.hyperparameters import Hyperparameters


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial, or one attempt at it, failed.

    Attributes:
        kind: a short stable word that tells whether failures repeat: `nan`, `out_of_memory`,
            `stalled`, else the type of the exception (`ValueError`).
        message: one sentence.
    """

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as the database holds it.

    Attributes:
        number: from 0, in the order of creation.
        state: Optuna's state in lower case: waiting, running, complete, pruned, fail.
        val_accuracy: of the last epoch reported, a fraction; None before the first.
        params: the seven hyperparameters; None until they are suggested.
        epochs: epochs reported.
        seconds: training seconds, of the attempt that ended; None while it runs.
        origin: where the hyperparameters came from (default, prior, tpe, ...).
        attempt: from 1.
        worker: host, process and device of the last attempt.
        reason_kind: the kind of failure (see `Failure`), or why it is back in the queue
            (`preempted`, `paused`, `stopped`, `budget`); None where neither is so.
        reason: the same in a sentence.
        duplicate_of: number of an earlier trial with the same canonical hyperparameters, whose
            result this one took over.
        silent_seconds: since its worker's last heartbeat, where a status was asked for and the
            trial runs.
    """

    number: int
    state: str
    val_accuracy: float | None
    params: Hyperparameters | None
    epochs: int
    seconds: float | None
    origin: str | None = None
    attempt: int = 0
    worker: str | None = None
    reason_kind: str | None = None
    reason: str | None = None
    duplicate_of: int | None = None
    silent_seconds: float | None = None


def reason_line(kind: str | None, reason: str | None) -> str | None:
    """Return kind and sentence for people: `nan: the loss is not finite`; None: there is none."""
    return ": ".join(filter(None, (kind, reason))) or None


@dataclass(frozen=True, slots=True)
class Controls:
    """What steers a study while it runs.

    Attributes:
        state: `running`, `paused` or `stopped`, as users said.
        trials: trials that may run.
        gpu_hours: hours that workers may hold trials, added up; None = no limit.
        until: when no trial runs any more, with its time zone; None = no limit.
        target_accuracy: validation accuracy that ends the study, a fraction; None = none.
        patience_trials: trials in a row without a better accuracy that end it; None = none.
        gpu_hours_used: hours that workers held trials so far.
        verdict: why no trial runs now: `paused`, `stopped`, `budget` (a limit but the number of
            trials; workers release theirs), `done` (that number has run); else None.
        why: a clause on that.
    """

    state: str
    trials: int
    gpu_hours: float | None
    until: datetime | None
    target_accuracy: float | None
    patience_trials: int | None
    gpu_hours_used: float
    verdict: str | None
    why: str | None

    @property
    def over(self) -> bool:
        """Whether workers leave; a paused study is not over."""
        return self.verdict not in (None, "paused")


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """Where a study stands.

    Attributes:
        name: the study's name.
        controls: its state and budget as they stand now.
        counts: trials by state.
        default_val_accuracy: of the plain fine-tuning default, once it is complete.
        best: the best complete trial.
        train_seconds: seconds of training spent in ended trials.
        running: trials that run now.
    """

    name: str
    controls: Controls
    counts: Mapping[str, int]
    default_val_accuracy: float | None
    best: TrialRecord | None
    train_seconds: float
    running: tuple[TrialRecord, ...]

    @property
    def budget_trials(self) -> int:
        """Trials the study may run."""
        return self.controls.trials

    @property
    def ended(self) -> int:
        """Trials that used up a part of the budget and are over."""
        return sum(self.counts.get(state, 0) for state in ("complete", "pruned", "fail"))


@dataclass(frozen=True, slots=True)
class QueuedTrial:
    """A trial to be queued.

    Attributes:
        params: its hyperparameters.
        origin: who wants it: default, prior, draw, opposite, user.
        system_attrs: what the sampler should know of it.
    """

    params: Hyperparameters
    origin: str
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
