"""All that a report tells, read once."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from tlsearch.errors import on_one_line
from tlsearch.records import Answer, Controls, Hyperparameters, Measures, Prior, TrialRecord
from tlsearch.records.energy import TrialEnergy
from tlsearch.records.finals import Finals
from tlsearch.records.knobs import KnobsTable
from tlsearch.records.objective import (
    ACCURACY,
    Objective,
    attr,
    axis_label,
    figure_or_none,
    plot_factor,
    shown,
    shown_with_sd,
    words,
)
from tlsearch.records.precision import standard_error
from tlsearch.records.tested import TestResult
from tlsearch.store.stored_study import StoredStudy


@dataclass(frozen=True, slots=True)
class Extras:
    """What other commands add to a study; None and empty where they have not run.

    Attributes:
        finals: its finalists over several seeds.
        tests: its looks at the test images, the oldest first.
        knobs: which knob paid.
    """

    finals: Finals | None = None
    tests: Sequence[TestResult] = ()
    knobs: KnobsTable | None = None


@dataclass(frozen=True, slots=True)
class FineTuned:
    """A complete trial that trained: no duplicate, and not the floor.

    Attributes:
        number: of the trial.
        score: on the validation images; of accuracy a fraction.
        params: its hyperparameters in canonical form.
        origin: where they came from.
        objective: what the score is.
        error: standard error of the score; None where it follows from the score, or is not known.
    """

    number: int
    score: float
    params: Hyperparameters
    origin: str
    objective: Objective = ACCURACY
    error: float | None = None

    @property
    def y(self) -> float:
        """The score on an axis: per cent, or the figure itself."""
        return plot_factor(self.objective) * self.score


@dataclass(frozen=True, slots=True)
class TrialFile:
    """A picture among the files of a trial.

    Attributes:
        trial: its number.
        name: such as `confusion_matrix.png`.
        data: the file.
    """

    trial: int
    name: str
    data: bytes


@dataclass(frozen=True)
class Facts:
    """What a report tells.

    Attributes:
        study: its spec and what it was created with.
        trials: all of them, by number.
        curves: scores by epoch, by trial number; NaN = not finite.
        ended: when trials ended, by number.
        energy: that trials used, by number, of those whose attributes say so.
        controls: the study's state and budget.
        measures: None where they have not been taken.
        unmeasured: why they could not be taken; None where that did not happen.
        prior: None where there is none.
        answer: the recommended one.
        files: pictures of the best trials.
        extras: what other commands added.
    """

    study: StoredStudy
    trials: Sequence[TrialRecord]
    curves: Mapping[int, tuple[float, ...]]
    ended: Mapping[int, datetime]
    energy: Mapping[int, TrialEnergy]
    controls: Controls
    measures: Measures | None = None
    unmeasured: str | None = None
    prior: Prior | None = None
    answer: Answer | None = None
    files: Sequence[TrialFile] = ()
    extras: Extras = field(default_factory=Extras)

    @property
    def n_body(self) -> int:
        """Layers of the network without the classifier."""
        return self.study.space.n_body_layers

    @property
    def n_val(self) -> int:
        """Validation images."""
        return self.study.data.n_val

    @property
    def name(self) -> str:
        """The study's name as a shell takes it; what would break or turn the line is escaped."""
        return on_one_line(shlex.quote(self.study.name))

    @cached_property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The complete trials that have a score, by number."""
        found = (trial for trial in self.trials if trial.state == "complete")
        return tuple(trial for trial in found if trial.score is not None)

    @cached_property
    def fine_tuned(self) -> tuple[FineTuned, ...]:
        """The complete trials that trained, by number."""
        return tuple(
            FineTuned(
                trial.number,
                trial.score,
                trial.params.canonical(self.n_body),
                trial.origin or "unknown",
                trial.objective,
                None if trial.own is None else trial.own.error,
            )
            for trial in self.complete
            if trial.params and trial.score is not None and trial.duplicate_of is None
        )

    def of_origin(self, origin: str) -> TrialRecord | None:
        """Return the best complete trial of an origin, such as `default`."""
        found = [trial for trial in self.complete if trial.origin == origin]
        return max(found, key=lambda trial: trial.score or 0.0, default=None)

    @property
    def objective(self) -> Objective:
        """What the study makes best."""
        return self.study.spec.objective

    @property
    def head(self) -> str:
        """Name of the objective in a file: `val_accuracy`."""
        return attr(self.objective)

    @property
    def word(self) -> str:
        """The objective in words."""
        return words(self.objective)

    @property
    def title(self) -> str:
        """The same at the beginning of a sentence."""
        return self.word[0].upper() + self.word[1:]

    @property
    def axis(self) -> str:
        """Label of an axis of scores."""
        return axis_label(self.objective)

    @property
    def factor(self) -> float:
        """By what scores are multiplied on an axis."""
        return plot_factor(self.objective)

    def figure(self, score: float | None) -> float | None:
        """Return a score as a figure in its own unit."""
        return figure_or_none(self.objective, score)

    def error_of(self, score: float, error: float | None) -> float | None:
        """Return the standard error of a score: of accuracy it follows from the score."""
        return standard_error(score, self.n_val) if self.objective == ACCURACY else error

    def seen(self, trial: FineTuned | TrialRecord) -> str:
        """Return `61.2 ± 2.5 %`: a trial's score and its standard error."""
        if isinstance(trial, FineTuned):
            score, error = trial.score, trial.error
        else:
            score, error = trial.score or 0.0, None if trial.own is None else trial.own.error
        known = self.error_of(score, error)
        if known is None:
            return shown(self.objective, score)
        return shown_with_sd(self.objective, score, known)
