"""What to use of all that a study found: fixed features, a trial, or the mean of both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tlsearch.records.objective import ACCURACY, Objective, figure_or_none, shown, shown_gain, words
from tlsearch.records.precision import paired_error, standard_error
from tlsearch.records.study import FIXED_FEATURES, TrialRecord

# One-sided, 95 %: standard errors by which one score has to be ahead of another.
CLEARLY = 1.645


@dataclass(frozen=True, slots=True)
class Lead:
    """By how much one score is ahead of another on the same validation images.

    Attributes:
        gain: the difference, a fraction where the score is one; negative where it is behind.
        error: its standard error.
        n_val: validation images.
        objective: what the scores are.
    """

    gain: float
    error: float
    n_val: int
    objective: Objective = ACCURACY

    @property
    def is_clear(self) -> bool:
        """Whether it is ahead by more than the validation images can tell from chance."""
        return self.gain > CLEARLY * self.error


@dataclass(frozen=True, slots=True)
class Answer:
    """The recommended answer of a study.

    Attributes:
        kind: `fixed_features`, `trial`, or `mean` of both.
        trials: numbers of the trials whose models it consists of.
        val_accuracy: its validation accuracy, a fraction; None where it is not known, as of a
            mean that was chosen by another objective.
        lead: of the best fine-tuned trial over fixed features; None where one of them is missing.
        models: the model files of these trials, in order; None for one that is not kept.
        own_score: its score where the objective is another than accuracy.
        objective: what it was chosen by.
        own_error: standard error of that score; of a mean that of the trial in it.
    """

    kind: Literal["fixed_features", "trial", "mean"]
    trials: tuple[int, ...]
    val_accuracy: float | None
    lead: Lead | None = None
    models: tuple[str | None, ...] = ()
    own_score: float | None = None
    objective: Objective = ACCURACY
    own_error: float | None = None

    @property
    def score(self) -> float | None:
        """What it was chosen for: larger is better."""
        return self.val_accuracy if self.objective == ACCURACY else self.own_score

    @property
    def val_objective(self) -> float | None:
        """The same as a figure in its own unit."""
        return figure_or_none(self.objective, self.score)


def answer_of(complete: Sequence[TrialRecord], n_val: int) -> Answer | None:
    """Return the recommended answer; see `recommended`.

    Args:
        complete: the complete trials, the best first; the floor may be anywhere.
        n_val: validation images.

    Returns:
        None where no trial is complete.
    """
    floor = next((trial for trial in complete if trial.origin == FIXED_FEATURES), None)
    best = next((trial for trial in complete if trial.origin != FIXED_FEATURES), None)
    return recommended(floor, best, n_val)


def recommended(floor: TrialRecord | None, best: TrialRecord | None, n_val: int) -> Answer | None:
    """Choose between fixed features, the best fine-tuned trial, and the mean of both.

    1. The mean, where it is ahead of fixed features and not behind the best trial by more than one
       standard error. The best of many trials is flattered by about as much; the mean was not
       chosen among many, and averaging two models that err differently lowers the variance.
    2. Else the trial, where it is clearly ahead of fixed features (`Lead.is_clear`).
    3. Else fixed features, which cost seconds, and whose score was not chosen among many.

    All by the score, which is the accuracy unless the study has another objective.

    Args:
        floor: the complete trial of fixed features; None where there is none.
        best: the best fine-tuned trial; None where none is complete.
        n_val: validation images.
    """
    if floor is None or floor.score is None:
        return None if best is None or best.score is None else _alone("trial", best)
    if best is None or best.score is None:
        return _alone("fixed_features", floor)
    lead = lead_of(best, floor, n_val)
    mean = best.mean_score
    if mean is not None and floor.score < mean and best.score - score_error(best, n_val) <= mean:
        accuracy = best.mean_with_fixed_features
        both = floor.number, best.number
        return Answer("mean", both, accuracy, lead, **_own(best, mean))
    return _alone("trial", best, lead) if lead.is_clear else _alone("fixed_features", floor, lead)


def _alone(
    kind: Literal["fixed_features", "trial"], trial: TrialRecord, lead: Lead | None = None
) -> Answer:
    return Answer(kind, (trial.number,), trial.val_accuracy, lead, **_own(trial, trial.score))


def _own(trial: TrialRecord, score: float | None) -> dict[str, Any]:
    """Return what an answer has where the objective is another than accuracy."""
    if trial.own is None:
        return {}
    return {"own_score": score, "objective": trial.objective, "own_error": trial.own.error}


def lead_of(trial: TrialRecord, floor: TrialRecord, n_val: int) -> Lead:
    """Compare a trial with fixed features on the validation images.

    Where it is stored how many images one of the two alone gets right, the standard error is that
    of paired accuracies; of another objective its own is stored. Otherwise the two count as
    independent.
    """
    gain = (trial.score or 0.0) - (floor.score or 0.0)
    paired = trial.own.lead_error if trial.own is not None else _paired(trial, n_val)
    if paired is None:
        paired = math.hypot(score_error(trial, n_val), score_error(floor, n_val))
    return Lead(gain, paired, n_val, trial.objective)


def score_error(trial: TrialRecord, n_val: int) -> float:
    """Return the standard error of a trial's score by n validation images.

    Where it was not stored of an objective other than accuracy, nothing counts as certain: it is
    the largest that a fraction can have.
    """
    if trial.own is None:
        return standard_error(trial.score or 0.0, n_val)
    return trial.own.error if trial.own.error is not None else standard_error(0.5, n_val)


def _paired(trial: TrialRecord, n_val: int) -> float | None:
    return None if trial.right_alone is None else paired_error(*trial.right_alone, n_val)


def lead_sentence(lead: Lead | None) -> str | None:
    """Say that nothing is clearly ahead of fixed features; None where something is."""
    if lead is None or lead.is_clear:
        return None
    where = "ahead" if lead.gain >= 0 else "behind"
    return (
        f"no trial is ahead of fixed features by more than {lead.n_val} validation images can "
        f"tell: the best is {shown_gain(lead.objective, lead.gain)} {where}, +- "
        f"{shown_gain(lead.objective, lead.error)}"
    )


def answer_words(answer: Answer) -> str:
    """Return what the answer is: `the mean of fixed features and trial 7, 81.5 % on validation`."""
    kinds = {
        "fixed_features": "fixed features alone",
        "trial": f"trial {answer.trials[-1]}",
        "mean": f"the mean of fixed features and trial {answer.trials[-1]}",
    }
    reached = shown(answer.objective, answer.score)
    if answer.objective != ACCURACY:
        reached = f"{words(answer.objective)} {reached}"
    return f"{kinds[answer.kind]}, {reached} on validation"
