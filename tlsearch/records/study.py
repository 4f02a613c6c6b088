"""The states of trials and studies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tlsearch.records.hyperparameters import Hyperparameters
from tlsearch.records.objective import ACCURACY, Objective, OwnScore, figure_or_none
from tlsearch.records.variation import TrainOn

FIXED_FEATURES = "fixed_features"  # origin of the trial that trains a linear classifier alone


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
    """A trial as it is in the database.

    Attributes:
        number: from 0, in the order of creation.
        state: Optuna's state in lower case: waiting, running, complete, pruned, fail.
        val_accuracy: top-1 of the last reported epoch, a fraction; None before the first. Where
            accuracy is not the objective, it is known once the trial ended.
        params: the seven hyperparameters; None until they are suggested, and of fixed features.
        epochs: epochs reported.
        seconds: training seconds of the attempt that ended; None while it runs.
        origin: where the hyperparameters came from (default, prior, tpe, ...).
        attempt: from 1.
        worker: host, process and device of the last attempt.
        reason_kind: the kind of failure (see `Failure`), or why it is back in the queue
            (`preempted`, `paused`, `stopped`, `budget`); None in all other cases.
        reason: the same in a sentence.
        duplicate_of: number of an earlier trial with the same canonical hyperparameters; this one
            copied its result.
        silent_seconds: since its worker's last heartbeat; None unless the record is part of a
            status and the trial runs.
        mean_with_fixed_features: validation accuracy of the mean of its probabilities and those of
            fixed features, a fraction; None where that is not known.
        right_alone: validation images that it gets right and fixed features do not, and the other
            way round; None where that is not known.
        expected_accuracy: what its hyperparameters should reach on new images, by all trials of
            the study (`tlsearch.estimate`), a fraction; None unless complete, and until a worker
            has computed it. None where accuracy is not the objective.
        expected_accuracy_sd: standard deviation of that, a fraction.
        seed: of its training; None = that of the recipe.
        train_on: the images it was trained on; with `train+val` its accuracy says nothing, since
            the validation images are among them.
        own: its score where the objective is another than accuracy; None where it is accuracy.
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
    mean_with_fixed_features: float | None = None
    right_alone: tuple[int, int] | None = None
    expected_accuracy: float | None = None
    expected_accuracy_sd: float | None = None
    seed: int | None = None
    train_on: TrainOn = "train"
    own: OwnScore | None = None

    @property
    def objective(self) -> Objective:
        """What its score is."""
        return ACCURACY if self.own is None else self.own.objective

    @property
    def score(self) -> float | None:
        """How good it is by the objective: larger is better; None before the first epoch."""
        return self.val_accuracy if self.own is None else self.own.score

    @property
    def val_objective(self) -> float | None:
        """The same as a figure in its own unit: of `log_loss` nats."""
        return figure_or_none(self.objective, self.score)

    @property
    def expected_score(self) -> float | None:
        """The score that its hyperparameters should reach on new images."""
        return self.expected_accuracy if self.own is None else self.own.expected

    @property
    def expected_score_sd(self) -> float | None:
        """Standard deviation of that."""
        return self.expected_accuracy_sd if self.own is None else self.own.expected_sd

    @property
    def mean_score(self) -> float | None:
        """Score of the mean of its probabilities and those of fixed features."""
        if self.own is None:
            return self.mean_with_fixed_features
        return self.own.mean_with_fixed_features


def reason_line(kind: str | None, reason: str | None) -> str | None:
    """Return `nan: the loss is not finite`, for people; None where there is neither."""
    return ": ".join(filter(None, (kind, reason))) or None


@dataclass(frozen=True, slots=True)
class Controls:
    """The state of a study that users set, and its budget.

    Attributes:
        state: `running`, `paused` or `stopped`, as users set it.
        trials: number of trials that may run.
        gpu_hours: hours of running trials, summed over all workers; None = no limit.
        until: time after which no trial runs, with its time zone; None = no limit.
        target_accuracy: validation accuracy that ends the study, a fraction; None = no target.
        patience_trials: this many trials in a row without a better score end it; None = no
            such limit.
        gpu_hours_used: hours of running trials so far.
        verdict: why no trial may run now: `paused`, `stopped`, `done` (the number of trials has
            run), or `budget` (another limit is reached; workers release their trials); None =
            trials may run.
        why: the same in words.
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
        """Whether workers leave the study; they wait while it is paused."""
        return self.verdict not in (None, "paused")


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """Where a study stands.

    Attributes:
        name: the study's name.
        controls: its state and budget now.
        counts: trials by state.
        default: the plain fine-tuning default; None until it is complete.
        floor: fixed features; None until that is complete, and without one.
        best: the best complete trial, which may be the floor.
        train_seconds: seconds of training in ended trials.
        running: trials that run now.
    """

    name: str
    controls: Controls
    counts: Mapping[str, int]
    default: TrialRecord | None
    best: TrialRecord | None
    train_seconds: float
    running: tuple[TrialRecord, ...]
    floor: TrialRecord | None = None

    @property
    def default_val_accuracy(self) -> float | None:
        """Top-1 of the plain default, a fraction."""
        return self.default.val_accuracy if self.default else None

    @property
    def fixed_features_val_accuracy(self) -> float | None:
        """Top-1 of fixed features, a fraction."""
        return self.floor.val_accuracy if self.floor else None

    @property
    def budget_trials(self) -> int:
        """Number of trials that may run."""
        return self.controls.trials

    @property
    def ended(self) -> int:
        """Number of trials that ended and count toward the budget."""
        return sum(self.counts.get(state, 0) for state in ("complete", "pruned", "fail"))

    @property
    def seconds_per_trial(self) -> float | None:
        """Mean seconds of the ended trials, pruned ones and duplicates too; None before one ran."""
        return self.train_seconds / self.ended if self.train_seconds > 0 else None

    @property
    def trials_left(self) -> int | None:
        """How many more trials the budget has room for at the present pace; None = unknown.

        A limit of trials is counted, and one of GPU-hours is divided by what a trial takes.
        """
        left = max(0, self.controls.trials - self.ended)
        hours = self.controls.gpu_hours
        if hours is None:
            return left
        if self.seconds_per_trial is None:
            return None
        seconds = max(0.0, 3600 * (hours - self.controls.gpu_hours_used))
        return min(left, int(seconds / self.seconds_per_trial))


@dataclass(frozen=True, slots=True)
class QueuedTrial:
    """A trial for the queue.

    Attributes:
        params: its hyperparameters.
        origin: why it is queued: fixed_features, default, prior, draw, from_probe, range_rate,
            opposite, user.
        system_attrs: attributes for the sampler.
        user_attrs: more attributes, such as those of a `Variation`.
    """

    params: Hyperparameters
    origin: str
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
