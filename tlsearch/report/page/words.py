"""How the report writes names, numbers and settings."""

import math
from collections.abc import Sequence

from tlsearch.records import HYPERPARAMETER_NAMES, Hyperparameters
from tlsearch.records.objective import (
    ACCURACY,
    Objective,
    attr,
    figure_of,
    shown,
    shown_with_sd,
)
from tlsearch.report.page.facts import FineTuned
from tlsearch.report.page.section import Row

LONGEST_NAME = 80
NOTHING = "No trial that fine-tunes the network is complete yet, so there is no figure."


def shown_name(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a name for people: what cannot be printed is replaced, what is too long is cut."""
    whole = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def number(value: float | None) -> str:
    """Return `0.0123`, three digits; `-` for None and for what is not finite."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.3g}"


def exact(value: float | None) -> str:
    """Return a number in full for a CSV file; empty for None and for what is not finite."""
    return "" if value is None or not math.isfinite(value) else repr(value)


def mean_sd(scores: Sequence[float], objective: Objective = ACCURACY) -> str:
    """Return `61.2 ± 0.8 %`: mean and standard deviation of several runs."""
    mean = sum(scores) / len(scores)
    if len(scores) < 2:
        return shown(objective, mean)
    sd = math.sqrt(sum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
    return shown_with_sd(objective, mean, sd)


def settings(params: Hyperparameters) -> str:
    """Return hyperparameters in canonical form in words, as Table 6 has them."""
    n = params.reinit_layers
    parts = [
        "no new layer" if n == 0 else f"{n} new layer{'s' * (n > 1)}",
        f"rate {number(params.high_lr)}",
    ]
    if params.low_layers:
        parts.append(f"low rate {number(params.low_lr)} on {params.low_layers}")
    if params.l2sp_layers:
        parts.append(f"L2-SP {number(params.alpha)} on {params.l2sp_layers}")
    return ", ".join([*parts, f"L2 {number(params.beta)}"])


def trial_rows(trials: Sequence[FineTuned]) -> tuple[Row, ...]:
    """Return the heading and a row a trial for a CSV file; hyperparameters in canonical form."""
    objective = trials[0].objective if trials else ACCURACY
    head: Row = ("trial", attr(objective), "origin", *HYPERPARAMETER_NAMES)
    rows = (
        (
            str(trial.number),
            exact(figure_of(objective, trial.score)),
            trial.origin,
            *(exact(value) for value in trial.params.as_dict().values()),
        )
        for trial in trials
    )
    return (head, *rows)


def joined(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def count(n: int, what: str) -> str:
    """Return `1 trial` or `3 trials`."""
    return f"{n} {what}{'s' * (n != 1)}"
