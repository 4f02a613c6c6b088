"""What does it cost to coordinate trials, beside plain Optuna?

    OMP_NUM_THREADS=1 python bench/storage/run.py [--workers 1 8 32 64] [--existing 100 1000 10000]
        [--arms ARM ...] [--seconds 20] [--rounds 1] [--json FILE]
    OMP_NUM_THREADS=1 python bench/storage/run.py --pace 30 --seconds 180 --workers 64
        --existing 10000 --arms tlsearch

Starts a PostgreSQL server of its own, fills studies, and runs the arms one after another on copies
of them, cell by cell and round by round, so that other load on the machine affects all alike. A
trial is ask, seven suggestions, 50 reports each with a decision of the pruner (which is ignored,
so that all trials are equally long), and tell. Without `--pace` there is no work in a trial.
Prints Markdown. Nothing is asserted.
"""

import argparse
import itertools
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from arms import ARMS
from filled import copy_of, fill
from server import Server, running_server
from tables import table
from worker_processes import Load, as_json, run_workers

Row = dict[str, Any]


def main() -> None:
    """Run the arms that the command line names."""
    given = _arguments()
    rows: list[Row] = []
    with running_server() as server:
        filled = {existing: fill(server, existing) for existing in given.existing}
        cells = itertools.product(range(given.rounds), given.existing, given.workers, given.arms)
        for number, (_, existing, workers, arm) in enumerate(cells):
            database = copy_of(server, filled[existing], f"cell_{number}")
            rows.append(_cell(server, database, existing, workers, arm, given))
            server.execute(f"DROP DATABASE {database} WITH (FORCE)")
            if given.json:
                given.json.write_text(json.dumps(_document(rows), indent=1) + "\n")
    print(table(rows))


def _cell(
    server: Server, database: str, existing: int, workers: int, arm: str, given: argparse.Namespace
) -> Row:
    most = 10**6 if given.pace else max(given.least_trials, 2 * workers, existing // 10)
    load = Load(workers, given.seconds, most, given.pace)
    row = as_json(run_workers(server, database, arm, load), existing)
    summary = f"{arm}: {workers} workers, {existing} trials: {row['trials']} in"
    print(f"{summary} {row['wall_seconds']:.1f} s", file=sys.stderr, flush=True)
    return row


def _document(rows: list[Row]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "ended": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "arms": {name: arm.what for name, arm in ARMS.items()},
        "runs": rows,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--existing", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument(
        "--arms",
        nargs="+",
        choices=ARMS,
        default=["plain-nop", "plain-median", "tlsearch-nop", "tlsearch"],
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--least-trials", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pace", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
