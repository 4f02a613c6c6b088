"""Runs the paper's experiments on small images; interrupted, it goes on where it stopped.

    python -m bench.paper.run [--target fashion-30 ...] [--only table2 figure1 ...] [--minutes M]
        [--list] [--results FOLDER]

Each file of studies/paper/quickstart is a study, and a table's file one for each of its four
seeds. A figure's result decides the settings of later files (`studies/paper/make.py`), which are
written anew when it ends, unless the results go elsewhere. Studies live in an embedded PostgreSQL
of the bench's own; one worker with one thread runs their trials here. To use two cores, start it
twice with different targets.
"""

import argparse
import fcntl
import os
import runpy
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.accuracy.places import ROOT, Absent, cache
from bench.accuracy.run import lines, write_head
from bench.accuracy.targets import TARGETS as SETS
from bench.accuracy.targets import Prepared

from .results import RESULTS, described, keep, kept, of_experiment
from .tested import all_tested, answer, needs_test, of_ensemble, of_run
from .units import IMAGES, TARGETS, Unit, maker, runs, units


class OutOfTime(Exception):
    """The minutes that were given are over."""


@dataclass(frozen=True)
class Runner:
    """Runs the units of one target.

    Attributes:
        target: the data set.
        results: folder of the results.
        deadline: on the monotonic clock; None = no limit.
    """

    target: str
    results: Path
    deadline: float | None

    def run(self, only: Sequence[str]) -> None:
        """Run what is missing.

        Raises:
            Absent: the images are not here, or a figure that is needed was not run.
            OutOfTime: the time is over.
        """
        prepared = SETS[IMAGES[self.target]].prepared()
        _write_images(self.target)
        write_head(self.results, self.target, prepared)
        for unit in list(units(self.target, only)):
            found = kept(self.results, unit)
            if found is None or not found["complete"]:
                self._run(unit, prepared)
            if needs_test(unit.experiment) and unit.run == runs(unit.experiment)[-1]:
                self._ensemble(unit, prepared)

    def _run(self, unit: Unit, prepared: Prepared) -> None:
        from tlsearch import create_study, run_worker
        from tlsearch.store.connect import open_storage

        if unit.waits_for is not None:
            raise Absent(f"{unit} takes its setting from {unit.waits_for}: run that first")
        study, _ = create_study(unit.spec())
        database, began, complete = open_storage(None), time.monotonic(), False
        print(f"{unit} ...", file=sys.stderr, flush=True)
        try:
            summary = run_worker(study.name, device="cpu", timeout_seconds=self._left())
            complete = summary.budget_spent  # or the grid is used up
        finally:
            line = described(unit, database, study, complete)
            if complete and needs_test(unit.experiment):
                line |= of_run(answer(database, study, prepared))
            keep(self.results, self.target, line)
            if complete and self.results == RESULTS:
                maker().write()
        took = time.monotonic() - began
        print(f"{unit}: {len(line['trials'])} trials, {took:.0f} s", file=sys.stderr, flush=True)
        if not complete:
            raise OutOfTime

    def _left(self) -> float | None:
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left

    def _ensemble(self, unit: Unit, prepared: Prepared) -> None:
        from tlsearch.store.connect import open_storage
        from tlsearch.store.studies import find_study

        found = lines(self.results, self.target)
        of_it = of_experiment(found, unit.experiment)
        there = any(
            (each.get("experiment"), each.get("run")) == (unit.experiment, "ensemble")
            for each in found
        )
        if there or not all_tested(of_it, len(runs(unit.experiment))):
            return
        database = open_storage(None)
        studies = [find_study(database, each["study"]) for each in of_it]
        answers = [answer(database, study, prepared) for study in studies]
        keep(self.results, self.target, of_ensemble(unit.experiment, answers))


def main() -> None:
    """Run what is missing, or list it."""
    given = _arguments()
    if given.list:
        print("\n".join(_listed(given.target, given.only, given.results)))
        return
    _use_own_places()
    deadline = None if given.minutes is None else time.monotonic() + 60 * given.minutes
    try:
        for target in given.target:
            _run_target(Runner(target, given.results, deadline), given.only)
    except OutOfTime:
        print("the time is over; the same command goes on", file=sys.stderr)
    finally:
        _stop_server()


def _write_images(target: str) -> None:
    """Write what the specs read and this repository does not hold: scikit-learn's digits."""
    if target == "digits":
        search = ROOT / "bench" / "search"
        runpy.run_path(str(search / "table.py"))["write_digits"](search / "data" / "digits.npz")


def _run_target(runner: Runner, only: Sequence[str]) -> None:
    try:
        with _alone(runner.target):
            runner.run(only)
    except Absent as absent:
        print(f"{runner.target} is left: {absent}", file=sys.stderr)


def _use_own_places() -> None:
    """Keep studies and models to the bench, and use one thread."""
    for name in [name for name in os.environ if name.startswith("TLSEARCH_")]:
        if name != "TLSEARCH_BENCH_CACHE":
            del os.environ[name]
    home = cache() / "paper"
    home.mkdir(exist_ok=True)
    os.environ |= {"XDG_DATA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    import torch

    torch.set_num_threads(1)


@contextmanager
def _alone(target: str) -> Iterator[None]:
    """Keep other runs from the results of a target.

    Raises:
        Absent: there is another run of it.
    """
    with (cache() / f"paper-{target}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Absent("another run works on it") from None
        yield


def _stop_server() -> None:
    """Stop the database, unless another run uses it."""
    from tlsearch.postgres import embedded

    locks = [(cache() / f"paper-{target}.lock").open("a") for target in TARGETS]
    try:
        for lock in locks:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        embedded.stop()
    except BlockingIOError:
        pass
    finally:
        for lock in locks:
            lock.close()


def _listed(targets: Sequence[str], only: Sequence[str], results: Path) -> Iterator[str]:
    for target in targets:
        for unit in units(target, only):
            line = kept(results, unit)
            state = "to do" if line is None else f"{len(line['trials'])} trials"
            if line is not None and line["complete"]:
                state = "done"
            waits = f", waits for {unit.waits_for}" if state != "done" and unit.waits_for else ""
            yield f"{unit!s:<40} {state}{waits}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--only", nargs="+", default=[], metavar="table2", help="names begin so")
    parser.add_argument("--minutes", type=float, help="begin no trial after them")
    parser.add_argument("--list", action="store_true", help="show what is done and what is left")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
