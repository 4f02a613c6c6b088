"""The finalists of a study, for people and for scripts."""

import shlex
from dataclasses import asdict
from typing import Any

from tlsearch.cli.display import columns
from tlsearch.records import HYPERPARAMETER_NAMES
from tlsearch.records.finals import Comparison, Finalist, Finals
from tlsearch.records.format import duration, p_value, percent
from tlsearch.records.objective import (
    ACCURACY,
    Objective,
    attr,
    figure_of,
    figure_or_none,
    gain_unit,
    is_minimised,
    shown,
    shown_with_sd,
    signed_gain,
    words,
)

ON_VALIDATION = (
    "{}: mean ± standard deviation of the runs, on the validation images that the search"
    " chose with; tests on them flatter a winner a little, test images do not"
)


def finals_lines(finals: Finals) -> list[str]:
    """Return a table, the comparisons, and what is recommended."""
    objective = finals.objective
    own = attr(objective)
    accuracy = [] if objective == ACCURACY else [attr(ACCURACY)]
    heading = ["finalist", "runs", own, *accuracy, *HYPERPARAMETER_NAMES, "time a run"]
    table = columns([heading, *(_cells(each, objective) for each in finals.finalists)])
    lines = [*table, ON_VALIDATION.format(own)]
    for each in finals.comparisons:
        gain, low, high = (signed_gain(objective, v) for v in (each.gain, each.low, each.high))
        lines.append(
            f"{finals.winner} over {each.baseline}: {gain}{gain_unit(objective)}, 95 % {low}"
            f" to {high}, {p_value(each.p_value)}, {each.n_seeds} seeds: {_words(each)}"
        )
    if is_minimised(objective):
        lines.append(f"a gain in {words(objective)} is by how much less there is of it")
    return [*lines, standing_line(finals)]


def _words(found: Comparison) -> str:
    if found.is_clear:
        return "clearly ahead"
    return "clearly behind" if found.high < 0 else "may be chance"


def standing_line(finals: Finals) -> str:
    """Return what is recommended, or how far the runs are."""
    if finals.complete:
        return f"recommended: {finals.recommended or 'nothing'}; {finals.why}"
    planned = sum(each.planned for each in finals.finalists)
    done = sum(len(each.runs) + each.failed for each in finals.finalists)
    return f"{done} of {planned} runs of the finalists are done"


def finals_line(finals: Finals) -> str:
    """Return the same in a line of what shows the search."""
    if not finals.complete:
        command = f"tlsearch finalists {shlex.quote(finals.study)}"
        return f"finalists: {standing_line(finals)} ({command})"
    if finals.recommended is None:
        return f"finalists: {finals.why}"
    answer = finals.finalist(finals.recommended)
    n = len(answer.runs)
    reached = f"{_score(answer, finals.objective)} over {n} {'run' if n == 1 else 'runs'}"
    return f"finalists: {answer.name} is recommended, {reached}"


def _cells(finalist: Finalist, objective: Objective) -> list[str]:
    values = finalist.params.as_dict().values() if finalist.params else ()
    texts = [f"{value:.3g}" for value in values] or ["-"] * len(HYPERPARAMETER_NAMES)
    seconds = [run.seconds for run in finalist.runs if run.seconds]
    time = duration(sum(seconds) / len(seconds)) if seconds else "-"
    failed = f", {finalist.failed} failed" if finalist.failed else ""
    runs = f"{len(finalist.runs)} of {finalist.planned}{failed}"
    accuracy = [] if objective == ACCURACY else [percent(finalist.mean_accuracy)]
    return [finalist.name, runs, _score(finalist, objective), *accuracy, *texts, time]


def _score(finalist: Finalist, objective: Objective) -> str:
    if finalist.sd is None:
        return shown(objective, finalist.mean)
    return shown_with_sd(objective, finalist.mean, finalist.sd)


def finals_as_json(finals: Finals) -> dict[str, Any]:
    """Return what the finalists reached as plain values."""
    found = asdict(finals)
    for plain, each in zip(found["finalists"], finals.finalists, strict=True):
        mean = figure_or_none(finals.objective, each.mean)
        plain |= {"mean": mean, "sd": each.sd, "mean_accuracy": each.mean_accuracy}
        for run, ran in zip(plain["runs"], each.runs, strict=True):
            run["val_objective"] = figure_of(finals.objective, ran.score)
            del run["own_score"]
    return found
