"""Runs the arms on the sets of images, seed by seed; interrupted, it goes on where it stopped.

    python -m bench.accuracy.run [--targets T ...] [--arms A ...] [--seeds 5] [--processes 2]
        [--trials 8] [--epochs 20] [--again] [--results FOLDER]

A unit is an arm on a set under a seed, in a process of its own with one thread; two run at a time.
All arms of all sets come first under seed 0, then under seed 1, and so on. A unit's line is added
to `results/TARGET.jsonl` when it ends. `--again` drops the lines of the chosen units first.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from . import arm_fastai, arm_search
from .answers import Settings
from .places import (
    RESULTS,
    ROOT,
    Absent,
    call,
    earlier_tree,
    end_children_on_sigterm,
    environment,
    only_run,
    present_tree,
)
from .targets import TARGETS, Prepared
from .unit import ARMS, written

Line = dict[str, Any]
_writing = Lock()


@dataclass(frozen=True)
class Wanted:
    """A unit to run.

    Attributes:
        target, arm, seed: which.
        settings: what all arms share.
    """

    target: str
    arm: str
    seed: int
    settings: Settings

    def is_in(self, lines: Iterable[Line]) -> bool:
        """Whether its result is there."""
        return any(self._is(line) for line in lines)

    def _is(self, line: Line) -> bool:
        same = (line.get("arm"), line.get("seed")) == (self.arm, self.seed)
        searches = self.arm.startswith("tlsearch")
        trials = line.get("trials") == self.settings.trials or not searches
        return same and trials and line.get("epochs") == self.settings.epochs

    def without(self, lines: Iterable[Line]) -> list[Line]:
        """Return the lines of other units."""
        return [line for line in lines if not self._is(line)]


def main() -> None:
    """Run what is missing."""
    given = _arguments()
    try:
        with only_run():
            _run_missing(given)
    except Absent as absent:
        sys.exit(str(absent))


def _run_missing(given: argparse.Namespace) -> None:
    settings = Settings(trials=given.trials, epochs=given.epochs)
    targets, arms = _present(given.targets, given.arms)
    units = wanted(targets, arms, given.seeds, settings)
    for target, prepared in targets.items():
        write_head(given.results, target, prepared)
    if given.again:
        for unit in units:
            replace(given.results, unit.target, unit.without(lines(given.results, unit.target)))
    todo = [unit for unit in units if not unit.is_in(lines(given.results, unit.target))]
    print(f"{len(units)} units, {len(units) - len(todo)} of them done", file=sys.stderr)
    end_children_on_sigterm()
    pool = ThreadPoolExecutor(given.processes)
    try:
        failures = sum(pool.map(lambda unit: _run(unit, given.results), todo))
    finally:
        pool.shutdown(cancel_futures=True)
        _stop_servers(arms)
    if failures:
        sys.exit(f"{failures} units failed; run the command again to go on")


def wanted(
    targets: Iterable[str], arms: Sequence[str], seeds: int, settings: Settings
) -> list[Wanted]:
    """Return the units, seed by seed."""
    names = list(targets)
    return [
        Wanted(target, arm, seed, settings)
        for seed in range(seeds)
        for target in names
        for arm in arms
    ]


def write_head(results: Path, target: str, prepared: Prepared) -> None:
    """Write the first line of a set's results: its classes and the test labels.

    Raises:
        SystemExit: the results there are of other images.
    """
    head = {
        "target": target,
        "class_names": prepared.arrays["class_names"].tolist(),
        "n_train": len(prepared.labels("train")),
        "n_val": len(prepared.labels("val")),
        "labels": written(prepared.labels("test")),
        "images": prepared.fingerprint(),
    }
    found = lines(results, target)
    if not found:
        replace(results, target, [head])
    elif found[0]["images"] != head["images"]:
        sys.exit(f"{results / target}.jsonl is of other images; give another --results")


def lines(results: Path, target: str) -> list[Line]:
    """Return the lines of a set's results; the first one describes the set."""
    path = results / f"{target}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def replace(results: Path, target: str, found: Sequence[Line]) -> None:
    """Write a set's results anew, whole or not at all."""
    results.mkdir(parents=True, exist_ok=True)
    half = results / f".{target}.half"
    half.write_text("".join(json.dumps(line) + "\n" for line in found))
    half.replace(results / f"{target}.jsonl")


def add(results: Path, target: str, line: Line) -> None:
    """Add a line to a set's results."""
    with _writing:
        replace(results, target, [*lines(results, target), line])


def _run(unit: Wanted, results: Path) -> bool:
    """Run a unit in a process of its own; return whether it failed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "line.json"
        command = [sys.executable, "-m", "bench.accuracy.unit", unit.target, unit.arm]
        command += [str(unit.seed), "--out", str(out)]
        command += ["--trials", str(unit.settings.trials), "--epochs", str(unit.settings.epochs)]
        what = f"{unit.target} {unit.arm} seed {unit.seed}"
        try:
            call(command, environment(present_tree(), {"XDG_CACHE_HOME": folder}), ROOT)
        except RuntimeError as error:
            print(f"{what} failed: {error}", file=sys.stderr, flush=True)
            return True
        line = json.loads(out.read_text())
    add(results, unit.target, line)
    took = time.monotonic() - started
    print(f"{what}: {100 * line['test']:.1f} in {took:.0f} s", file=sys.stderr, flush=True)
    return False


def _stop_servers(arms: Sequence[str]) -> None:
    """Stop the databases of the searches."""
    for arm, tree in arm_search.TREES.items():
        if arm in arms:
            arm_search.stop_server(tree())


def _present(targets: Sequence[str], arms: Sequence[str]) -> tuple[dict[str, Prepared], list[str]]:
    """Return the sets and arms that can run here, and say why others cannot.

    What all units of an arm share is made here, before several of them run at the same time.
    """
    found: dict[str, Prepared] = {}
    for target in targets:
        try:
            found[target] = TARGETS[target].prepared()
        except Absent as absent:
            print(f"{target} is skipped: {absent}", file=sys.stderr)
    usable = list(arms)
    for arm, need in (("fastai", arm_fastai.interpreter), ("tlsearch_0_1", earlier_tree)):
        try:
            if arm in usable:
                need()
        except Absent as absent:
            print(f"{arm} is skipped: {absent}", file=sys.stderr)
            usable.remove(arm)
    return found, usable


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--trials", type=int, default=Settings.trials)
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
