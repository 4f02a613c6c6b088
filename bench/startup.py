"""How long a command takes that only asks the database, beside the bare import of its libraries.

    python bench/startup.py --storage postgresql://... --study NAME --out bench/startup.md

Every round runs each command once, in the same order, so that all of them meet the same load. The
first round, which fills the disk cache, is not counted. Wall time is that of the whole process.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

BARE = "import optuna, sqlalchemy"
COMMANDS = ("status", "best", "budget")
PACKAGES = ("optuna", "sqlalchemy", "pydantic", "typer", "rich")
LIMIT = 2.0  # times the bare import


@dataclass(frozen=True)
class Run:
    """Seconds that a process took, on the clock and of the CPU."""

    wall: float
    cpu: float


def timed(argv: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a command that must succeed, and time it."""
    before, began = _cpu_of_children(), time.perf_counter()
    subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True)
    return Run(time.perf_counter() - began, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str]
) -> dict[str, list[Run]]:
    """Return the runs of each command; round by round, the warm-up not counted."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for n in range(rounds + 1):
        for name, argv in commands.items():
            run = timed(argv, environment)
            if n:
                runs[name].append(run)
    return runs


def table(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return rows of Markdown: median (quartiles) of the seconds, and of the ratios by round."""
    bare = runs[BARE]
    lines = [
        "| process | wall s | CPU s | wall, ratio | CPU, ratio |",
        "|---|---|---|---|---|",
    ]
    for name, own in runs.items():
        cells = [f"`{name}`"]
        cells += [_spread([r.wall for r in own]), _spread([r.cpu for r in own])]
        pairs = list(zip(own, bare, strict=True))
        cells += [_spread([a.wall / b.wall for a, b in pairs])]
        cells += [_spread([a.cpu / b.cpu for a, b in pairs])]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _spread(values: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def page(runs: Mapping[str, Sequence[Run]], load: tuple[float, float]) -> str:
    """Return the page."""
    rounds = len(runs[BARE])
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return "\n".join(
        [
            "# Start of commands that only ask the database",
            "",
            f"Whole processes: medians (and quartiles) of {rounds} rounds after one that warms up. "
            "In each round every process runs once; ratios are to the bare import of the same "
            "round. Written by `bench/startup.py`.",
            "",
            *table(runs),
            "",
            f"{os.cpu_count()} cores, load {load[0]:.1f} before and {load[1]:.1f} after; Python "
            f"{platform.python_version()}; {versions}. The server is the embedded one, on the same "
            "machine.",
            "",
        ]
    )


def main() -> int:
    """Measure, print, write; 1 where a command takes longer than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--study", required=True, help="a study that exists")
    parser.add_argument("--storage", help="its database; default: as for tlsearch")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--out", type=Path, help="page to write")
    options = parser.parse_args()
    environment = dict(os.environ)
    if options.storage:
        environment["TLSEARCH_STORAGE"] = options.storage
    commands: dict[str, Sequence[str]] = {BARE: [sys.executable, "-c", BARE]}
    for name in COMMANDS:
        commands[f"tlsearch {name}"] = [sys.executable, "-m", "tlsearch", name, options.study]
    load_before = os.getloadavg()[0]
    runs = measure(commands, options.rounds, environment)
    text = page(runs, (load_before, os.getloadavg()[0]))
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text)
    pairs = zip(runs[f"tlsearch {COMMANDS[0]}"], runs[BARE], strict=True)
    return int(statistics.median(own.wall / bare.wall for own, bare in pairs) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
