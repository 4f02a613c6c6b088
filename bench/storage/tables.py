"""Results as Markdown: `python bench/storage/tables.py FILE ...`."""

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Key = tuple[int, int, str]


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
    return factor * statistics.median(row[what] / max(1, row["trials"]) for row in runs)


def _calls(runs: Sequence[Row], call: str) -> str:
    found = [statistics.median(row["calls"][call][p] for row in runs) for p in ("p50", "p95")]
    return " / ".join(f"{value:.3g}" for value in found)


if __name__ == "__main__":
    print(
        table([row for name in sys.argv[1:] for row in json.loads(Path(name).read_text())["runs"]])
    )
