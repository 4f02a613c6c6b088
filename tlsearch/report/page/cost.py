"""What the search cost: GPU-hours, trials by state, and why trials failed."""

from collections import Counter
from collections.abc import Sequence

from tlsearch.records import TrialRecord, reason_line
from tlsearch.records.energy import total_joules
from tlsearch.records.format import duration
from tlsearch.report.page.facts import Facts
from tlsearch.report.page.section import Row, Section, Table
from tlsearch.report.page.words import count, shown_name

MOST_REASONS = 10


def section(facts: Facts) -> Section:
    """Return the cost."""
    words = [
        f"Workers held trials for {facts.controls.gpu_hours_used:.2f} GPU-hours (hours on whatever "
        "device, measuring not included)."
    ]
    words.append(_energy(facts))
    words.append(
        "The paper's single experiments took six hours (DTD) to a day (Caltech) of one V100."
    )
    tables = [_by("state", facts.trials, [trial.state for trial in facts.trials])]
    tables.append(_by("origin", facts.trials, [t.origin or "unknown" for t in facts.trials]))
    if reasons := _reasons(facts):
        tables.append(reasons)
    return Section("cost", "What it cost", tuple(words), tables=tuple(tables))


def _energy(facts: Facts) -> str:
    if not facts.energy:
        return (
            "Energy is not known: no trial ran on a GPU whose energy counter NVML gives, and no "
            "trial's attributes say what it used."
        )
    hours = total_joules(facts.energy.values()) / 3.6e6
    known = f"{count(len(facts.energy), 'trial')} with a known use took {hours:.3g} kWh"
    if not any(trial.spans for trial in facts.energy.values()):
        return f"{known}."
    return (
        f"{known}, by the counters of the GPUs (NVML), without the rest of the machines. What "
        "several workers used together on one GPU counts once; what other programs used there "
        "meanwhile is in it."
    )


def _by(what: str, trials: Sequence[TrialRecord], keys: Sequence[str]) -> Table:
    counts = Counter(keys)
    rows: list[Row] = [(what, "trials", "training time", "a trial", "copied results")]
    for key, n in counts.most_common():
        of_key = [trial for trial, k in zip(trials, keys, strict=True) if k == key]
        seconds = sum(trial.seconds or 0.0 for trial in of_key)
        copied = sum(trial.duplicate_of is not None for trial in of_key)
        shown = "failed" if key == "fail" else shown_name(key)
        rows.append((shown, str(n), duration(seconds), duration(seconds / n), str(copied)))
    note = "Copied results: duplicates of an earlier trial, which train nothing."
    return Table(f"cost-by-{what}", f"Trials by {what}", tuple(rows), note)


def _reasons(facts: Facts) -> Table | None:
    failed = [trial for trial in facts.trials if trial.state == "fail"]
    counts = Counter(reason_line(t.reason_kind, t.reason) or "unknown" for t in failed)
    if not counts:
        return None
    rows: list[Row] = [("reason", "trials")]
    rows += [(shown_name(why, 200), str(n)) for why, n in counts.most_common(MOST_REASONS)]
    return Table("failures", "Why trials failed", tuple(rows))
