"""What to use of all that a study found: fixed features, a trial, or the mean of both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tlsearch.records.format import percent, points
from tlsearch.records.precision import paired_error, standard_error
from tlsearch.records.study import FIXED_FEATURES, TrialRecord

# One-sided, 95 %: standard errors by which one accuracy has to be ahead of another.
CLEARLY = 1.645


@dataclass(frozen=True, slots=True)
class Lead:
    """By how much one accuracy is ahead of another on the same validation images.

    Attributes:
        gain: the difference, a fraction; negative where it is behind.
        error: its standard error.
        n_val: validation images.
    """

    gain: float
    error: float
    n_val: int

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
        val_accuracy: its validation accuracy, a fraction.
        lead: of the best fine-tuned trial over fixed features; None where one of them is missing.
        models: the model files of these trials, in order; None for one that is not kept.
    """

    kind: Literal["fixed_features", "trial", "mean"]
    trials: tuple[int, ...]
    val_accuracy: float
    lead: Lead | None = None
    models: tuple[str | None, ...] = ()


def answer_of(complete: Sequence[TrialRecord], n_val: int) -> Answer | None:
    """Return the recommended answer; see `recommended`.

    Args:
        complete: the complete trials, the most accurate first; the floor may be anywhere.
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
    3. Else fixed features, which cost seconds, and whose accuracy was not chosen among many.

    Args:
        floor: the complete trial of fixed features; None where there is none.
        best: the best fine-tuned trial; None where none is complete.
        n_val: validation images.
    """
    if floor is None or floor.val_accuracy is None:
        if best is None or best.val_accuracy is None:
            return None
        return Answer("trial", (best.number,), best.val_accuracy)
    alone = Answer("fixed_features", (floor.number,), floor.val_accuracy)
    if best is None or best.val_accuracy is None:
        return alone
    lead = lead_of(best, floor, n_val)
    mean = best.mean_with_fixed_features
    flattery = standard_error(best.val_accuracy, n_val)
    if mean is not None and floor.val_accuracy < mean and best.val_accuracy - flattery <= mean:
        return Answer("mean", (floor.number, best.number), mean, lead)
    if lead.is_clear:
        return Answer("trial", (best.number,), best.val_accuracy, lead)
    return Answer(alone.kind, alone.trials, alone.val_accuracy, lead)


def lead_of(trial: TrialRecord, floor: TrialRecord, n_val: int) -> Lead:
    """Compare a trial with fixed features on the validation images.

    Where it is stored how many images one of the two alone gets right, the standard error is that
    of paired accuracies. Otherwise the two count as independent.
    """
    ours, theirs = trial.val_accuracy or 0.0, floor.val_accuracy or 0.0
    gain = ours - theirs
    if trial.right_alone is None:
        error = math.hypot(standard_error(ours, n_val), standard_error(theirs, n_val))
    else:
        error = paired_error(*trial.right_alone, n_val)
    return Lead(gain, error, n_val)


def lead_sentence(lead: Lead | None) -> str | None:
    """Say that nothing is clearly ahead of fixed features; None where something is."""
    if lead is None or lead.is_clear:
        return None
    where = "ahead" if lead.gain >= 0 else "behind"
    return (
        f"no trial is ahead of fixed features by more than {lead.n_val} validation images can "
        f"tell: the best is {points(lead.gain)} {where}, +- {points(lead.error)}"
    )


def answer_words(answer: Answer) -> str:
    """Return what the answer is: `the mean of fixed features and trial 7, 81.5 % on validation`."""
    words = {
        "fixed_features": "fixed features alone",
        "trial": f"trial {answer.trials[-1]}",
        "mean": f"the mean of fixed features and trial {answer.trials[-1]}",
    }
    return f"{words[answer.kind]}, {percent(answer.val_accuracy)} on validation"
