"""What the command line prints: tables of trials, and JSON."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from tlsearch.cli.streams import shows
from tlsearch.records import (
    HYPERPARAMETER_NAMES,
    Answer,
    StudyStatus,
    TrialRecord,
    answer_words,
    lead_sentence,
)
from tlsearch.records.format import duration, val_percent
from tlsearch.records.objective import (
    ACCURACY,
    Objective,
    attr,
    figure_or_none,
    is_minimised,
    shown,
    shown_with_sd,
)
from tlsearch.report.rising import Rising

console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output, in an encoding's own characters if it has them.

    Numbers that JSON has not (NaN, infinity) become null.
    """
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write((text if shows(text) else as_json(value, indent=2)) + "\n")


def as_json(value: Any, indent: int | None = None) -> str:
    """Return JSON that any encoding and any reader takes; NaN and infinity become null."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)


def finite(value: Any) -> Any:
    """Return plain values with None in the place of numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value


def trial_as_json(trial: TrialRecord) -> dict[str, Any]:
    """Return a trial as plain values."""
    return {
        "number": trial.number,
        "val_accuracy": trial.val_accuracy,
        "objective": trial.objective,
        "val_objective": trial.val_objective,
        "expected_accuracy": trial.expected_accuracy,
        "expected_accuracy_sd": trial.expected_accuracy_sd,
        "expected_objective": figure_or_none(trial.objective, trial.expected_score),
        "expected_objective_sd": trial.expected_score_sd,
        "params": trial.params.as_dict() if trial.params else None,
        "epochs": trial.epochs,
        "seconds": trial.seconds,
        "state": trial.state,
        "origin": trial.origin,
        "attempt": trial.attempt,
        "worker": trial.worker,
        "reason_kind": trial.reason_kind,
        "reason": trial.reason,
        "duplicate_of": trial.duplicate_of,
        "mean_with_fixed_features": trial.mean_with_fixed_features,
        "seed": trial.seed,
        "train_on": trial.train_on,
    }


def answer_as_json(answer: Answer | None) -> dict[str, Any] | None:
    """Return the recommended answer as plain values; None where there is none yet."""
    if answer is None:
        return None
    lead = answer.lead
    return {
        "kind": answer.kind,
        "val_accuracy": answer.val_accuracy,
        "objective": answer.objective,
        "val_objective": answer.val_objective,
        "trials": list(answer.trials),
        "models": list(answer.models),
        "lead_over_fixed_features": lead.gain if lead else None,
        "lead_error": lead.error if lead else None,
        "lead_is_clear": lead.is_clear if lead else None,
    }


def answer_lines(answer: Answer | None, place: str | None = None) -> list[str]:
    """Return what is recommended, and whether anything is clearly ahead of fixed features.

    Args:
        answer: what is recommended.
        place: where model files lie.
    """
    if answer is None:
        return []
    files = [name or "(not kept)" for name in answer.models]
    where = f" in {place}" if place is not None and any(answer.models) else ""
    lines = [f"recommended: {answer_words(answer)}", f"model files: {', '.join(files)}{where}"]
    return [*lines, *filter(None, [lead_sentence(answer.lead)])]


def status_as_json(status: StudyStatus) -> dict[str, Any]:
    """Return a study's status as plain values."""
    return {
        "name": status.name,
        "budget_trials": status.budget_trials,
        "ended": status.ended,
        "counts": dict(status.counts),
        "default_val_accuracy": status.default_val_accuracy,
        "fixed_features_val_accuracy": status.fixed_features_val_accuracy,
        "default_val_objective": status.default.val_objective if status.default else None,
        "fixed_features_val_objective": status.floor.val_objective if status.floor else None,
        "state": status.controls.state,
        "gpu_hours_used": round(status.controls.gpu_hours_used, 6),
        "best": trial_as_json(status.best) if status.best else None,
        "train_seconds": round(status.train_seconds, 3),
        "seconds_per_trial": status.seconds_per_trial,
        "trials_left": status.trials_left,
        "running": [trial_as_json(trial) for trial in status.running],
    }


def rising_as_json(found: Rising | None) -> dict[str, Any] | None:
    """Return how curves rise at their end as plain values; None where it cannot be told."""
    if found is None:
        return None
    return {
        "points_per_epoch": None if is_minimised(found.objective) else 100 * found.slope,
        "error": None if is_minimised(found.objective) else 100 * found.error,
        "objective": found.objective,
        "score_per_epoch": found.slope,
        "score_error": found.error,
        "last_epochs": found.last_epochs,
        "trials": found.n_trials,
        "beyond_noise": found.beyond_noise,
        "epochs_to_try": found.epochs_to_try if found.beyond_noise else None,
    }


def trials_lines(trials: Sequence[TrialRecord]) -> list[str]:
    """Return a heading and a line a trial with its seven hyperparameters, in columns."""
    objective = trials[0].objective if trials else ACCURACY
    accuracy = [] if objective == ACCURACY else [attr(ACCURACY)]
    seen = [attr(objective), "expected", *accuracy]
    heading = ["trial", *seen, *HYPERPARAMETER_NAMES, "epochs", "time", "origin"]
    return columns([heading, *(_cells(trial, objective) for trial in trials)])


def _cells(trial: TrialRecord, objective: Objective) -> list[str]:
    values = trial.params.as_dict().values() if trial.params else ["-"] * len(HYPERPARAMETER_NAMES)
    texts = [value if isinstance(value, str) else f"{value:.3g}" for value in values]
    ending = [str(trial.epochs), duration(trial.seconds), trial.origin or "-"]
    expected = shown_with_sd(objective, trial.expected_score, trial.expected_score_sd)
    seen = [val_percent(trial.val_accuracy, trial.train_on), expected]
    if objective != ACCURACY:
        seen = [shown(objective, trial.score), expected, seen[0]]
    return [str(trial.number), *seen, *texts, *ending]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells to the right, as lines that are never wrapped or cut."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
