"""Which knob paid, for people and for scripts."""

from dataclasses import asdict
from typing import Any

from tlsearch.cli.display import columns
from tlsearch.records.knobs import Knob, KnobGain, KnobsTable
from tlsearch.records.names import FINALISTS_SUFFIX
from tlsearch.records.objective import Objective, gain_unit, signed_gain, words
from tlsearch.report.range_ends import range_end_sentence

MEANING = (
    "added: {} that the plain default gains by this knob of the winner; taken: {} that the"
    " winner loses without it; [95 % interval], over seeds and validation images; fANOVA and"
    " PED-ANOVA: Optuna's importances over the search"
)


def knobs_lines(table: KnobsTable) -> list[str]:
    """Return a table, what is skipped, and where a range may be too narrow."""
    heading = ["knob", "default", table.winner, "added", "taken", "fANOVA", "PED-ANOVA"]
    lines = (
        columns([heading, *(_cells(each, table.objective) for each in table.knobs)])
        if table.knobs
        else []
    )
    if table.whole is not None:
        seeds = table.whole.n_seeds
        whole = _gain(table.whole, table.objective)
        lines.append(f"{table.winner} over the plain default: {whole}, {seeds} seeds")
    if table.knobs:
        unit = gain_unit(table.objective).strip() or f"less {words(table.objective)}"
        lines.append(MEANING.format(unit, unit))
    if table.same:
        lines.append(f"as in the default, so nothing to tell: {', '.join(table.same)}")
    if table.taken:
        lines.append(
            f"{table.taken} of {table.planned} runs are taken over from "
            f"{table.study + FINALISTS_SUFFIX!r}, which trained the same"
        )
    if not table.complete:
        lines.append(f"{table.done} of {table.planned} runs are done")
    return lines + [range_end_sentence(each, table.study) for each in table.ends]


def _cells(knob: Knob, objective: Objective) -> list[str]:
    values = (" + ".join(f"{value:.3g}" for value in each) for each in (knob.default, knob.winner))
    shares = (
        "-" if each is None else f"{100 * each:.0f} %" for each in (knob.fanova, knob.ped_anova)
    )
    gains = (_gain(each, objective) for each in (knob.added, knob.taken))
    return [knob.name, *values, *gains, *shares]


def _gain(found: KnobGain | None, objective: Objective) -> str:
    if found is None:
        return "-"
    gain, low, high = (signed_gain(objective, v) for v in (found.gain, found.low, found.high))
    return f"{gain} [{low}, {high}]"


def knobs_as_json(table: KnobsTable) -> dict[str, Any]:
    """Return the table as plain values."""
    return asdict(table) | {"complete": table.complete}
