"""Results as Markdown: `python bench/storage/tables.py FILE ...`; with --ratios arm beside arm."""

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Key = tuple[int, int, str]
PAIRS = (("tlsearch-nop", "plain-nop"), ("tlsearch", "plain-median"), ("tlsearch", "plain-nop"))


def table(rows: Iterable[Row]) -> str:
    """Return one line a cell: medians over its runs, and the range of the trials a second."""
    lines = [
        "| existing | workers | arm | n | trials/s (range) | client CPU ms | server CPU ms |"
        " statements | transactions | ask p50 / p95 ms | report p50 / p95 | tell p50 / p95 |",
        "|---" * 12 + "|",
    ]
    for (existing, workers, arm), runs in by_cell(rows).items():
        rates = sorted(map(rate, runs))
        lines.append(
            f"| {existing} | {workers} | {arm} | {sum(r['trials'] for r in runs)} in {len(runs)} |"
            f" {statistics.median(rates):.2f} ({rates[0]:.2f} to {rates[-1]:.2f}) |"
            f" {_middle(runs, 'client_seconds', 1000):.0f} |"
            f" {_middle(runs, 'server_seconds', 1000):.0f} |"
            f" {_middle(runs, 'statements'):.0f} | {_middle(runs, 'transactions'):.0f} |"
            + "".join(f" {_calls(runs, call)} |" for call in ("ask", "report", "tell"))
        )
    return "\n".join(lines)


def ratios(rows: Iterable[Row]) -> str:
    """Return one line a number of trials and workers: ours beside plain Optuna, round by round."""
    cells = by_cell(rows)
    lines = [
        "| existing | workers | rounds | " + " | ".join(f"{a} / {b}" for a, b in PAIRS) + " |",
        "|---" * (3 + len(PAIRS)) + "|",
    ]
    for existing, workers in dict.fromkeys(key[:2] for key in cells):
        of = {arm: runs for (e, w, arm), runs in cells.items() if (e, w) == (existing, workers)}
        shown = [_pair(of[a], of[b]) if a in of and b in of else "-" for a, b in PAIRS]
        n = max(map(len, of.values()))
        lines.append(f"| {existing} | {workers} | {n} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _pair(ours: Sequence[Row], plain: Sequence[Row]) -> str:
    """Return how many times the trials a second, and which share of the CPU a trial."""
    faster = [rate(a) / rate(b) for a, b in zip(ours, plain, strict=False)]
    cpu = [_cpu(a) / _cpu(b) for a, b in zip(ours, plain, strict=False)]
    return f"{_range(faster, '.1f')} x, {_range(cpu, '.2f')} of the CPU"


def _cpu(row: Row) -> float:
    """Return seconds of CPU a trial, of client and server together."""
    return float(row["client_seconds"] + row["server_seconds"]) / max(1, int(row["trials"]))


def _range(values: Sequence[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def by_cell(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Return the runs of each cell, in the order in which cells were run first."""
    cells: dict[Key, list[Row]] = {}
    for row in rows:
        cells.setdefault((row["existing"], row["workers"], row["arm"]), []).append(row)
    return dict(sorted(cells.items(), key=lambda item: item[0][:2]))


def rate(row: Row) -> float:
    """Return trials a second."""
    return float(row["trials"] / row["wall_seconds"])


def _middle(runs: Sequence[Row], what: str, factor: float = 1.0) -> float:
    """Return the median over runs of something a trial."""
    a_trial: list[float] = [row[what] / max(1, row["trials"]) for row in runs]
    return factor * statistics.median(a_trial)


def _calls(runs: Sequence[Row], call: str) -> str:
    found = [statistics.median(row["calls"][call][p] for row in runs) for p in ("p50", "p95")]
    return " / ".join(f"{value:.3g}" for value in found)


if __name__ == "__main__":
    files = [name for name in sys.argv[1:] if name != "--ratios"]
    found = [row for name in files for row in json.loads(Path(name).read_text())["runs"]]
    print((ratios if "--ratios" in sys.argv else table)(found))
