"""Which queue, sampler, pruner and range find a good fine-tune soonest?

    OMP_NUM_THREADS=1 python bench/search/replay.py [TARGET ...] [--seeds 40] [--trials 40]
                                                    [--arms ARM ...] [--processes 1] [--json FILE]

Every arm searches, one trial after another, a surrogate of real fine-tunes (`surrogate.py`, fitted
to what `table.py` wrote) with Optuna in memory. It sees noisy curves; it is judged by the
surrogate's expected accuracy of its incumbent, the complete trial with the best final accuracy
seen so far, so that picking lucky noise wins nothing. The same seed and trial number meet the same
noise in every arm. Every arm runs the plain fine-tuning default first. All is done under two kinds
of surrogate, of which one is no Gaussian process. Arms with a wrong prior say what that costs.

A trial takes its epochs times the table's median seconds an epoch: the seconds measured vary with
the load of the machine. Arms with a prior first pay for the measures it comes from, the network
trained from random weights by its epochs, the rest as measured (`results/measures.json`); arms
that queue the range test's rate alone pay for the range test.

Prints Markdown. Nothing is asserted.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial
from surrogate import (
    MODELS,
    RESULTS,
    Surrogate,
    fit_surrogate,
    read_table,
    report,
    targets_with_table,
)

from tlsearch.prior import build_prior, normal_priors, starting_trials
from tlsearch.records import DEPTHS, Hyperparameters, Measures, Prior, QueuedTrial, Range
from tlsearch.sampler import build_pruner, build_sampler
from tlsearch.space import SearchSpace
from tlsearch.spec import PriorSpec, PrunerSpec, RecipeSpec, SamplerSpec, load_spec

HERE = Path(__file__).resolve().parent
MEASURES = RESULTS / "measures.json"
KINDS = ("Gaussian process", "extra trees")
MOMENTS = (4, 8, 16, 40)  # trials
NONE = 0.003  # a smaller difference is called none
GRID_SIDE = 4

NO_PRUNER = PrunerSpec(name="none")
LETTERS = {"prior": "M", "from_probe": "P", "range_rate": "R", "opposite": "O", "draw": "W"}
WHOLE_QUEUE = "MPROW"


@dataclass(frozen=True)
class Arm:
    """One way to search.

    Attributes:
        sampler: as in a spec's `[sampler]`.
        pruner: the `[pruner]` table.
        prior: None, `prior`, `inverted` or `mirrored`: what earned_prior follows, and whose modes
            are queued.
        queue: what is queued after the plain default, in this order: the prior's Mode, the same
            from the Probe, the Range test's rate with two random layers, the Same with three, the
            Opposite mode, draWs from the prior, a Grid of rate and `reinit_layers`.
        floor: the least `reinit_layers`.
    """

    sampler: str
    pruner: PrunerSpec = NO_PRUNER
    prior: str | None = None
    queue: str = ""
    floor: int = 0


def _ours(queue: str = WHOLE_QUEUE, **changes: Any) -> Arm:
    return replace(Arm("earned_prior", prior="prior", queue=queue), **changes)


ARMS: Mapping[str, Arm] = {
    "default": _ours(pruner=PrunerSpec()),
    # samplers
    "random": Arm("random"),
    "tpe": Arm("tpe"),
    "gp": Arm("GPSampler"),
    "no pruner": _ours(),
    "queue, then tpe": _ours(sampler="tpe"),
    "queue, then gp": _ours(sampler="GPSampler"),
    "queue, then random": _ours(sampler="random"),
    # queues; all others as in "no pruner"
    "queue MPR": _ours("MPR"),
    "queue MPRO": _ours("MPRO"),
    "queue MR": _ours("MR"),
    "queue MP": _ours("MP"),
    "queue PRM": _ours("PRM"),
    "queue PRSM": _ours("PRSM"),
    "queue PRSMOW": _ours("PRSMOW"),
    "no prior, queue PRS": Arm("tpe", queue="PRS"),
    "no prior, grid": Arm("tpe", queue="G"),
    # ranges
    "reinit_layers from 1": _ours(floor=1),
    "reinit_layers from 2": _ours(floor=2),
    # wrong priors
    "inverted": _ours(prior="inverted"),
    "mirrored": _ours(prior="mirrored"),
}
BASELINE, OURS, UNPRUNED = "tpe", "default", "no pruner"


@dataclass(frozen=True)
class Setting:
    """All that the searches of one target under one surrogate share.

    Attributes:
        surrogate: the replayed fine-tunes.
        trials: of each search.
    """

    surrogate: Surrogate
    trials: int

    @property
    def target(self) -> str:
        """Name of the target."""
        return self.surrogate.table.target

    @property
    def space(self) -> SearchSpace:
        """What the table was drawn from."""
        return self.surrogate.table.space

    @property
    def epochs(self) -> int:
        """Epochs of a trial that is not pruned."""
        return int(self.surrogate.table.curves.shape[1])

    def space_of(self, arm: Arm) -> SearchSpace:
        """Return what an arm searches."""
        ranges = self.space.ranges
        low = max(arm.floor, int(ranges["reinit_layers"].low))
        depths = Range(low, ranges["reinit_layers"].high)
        return replace(self.space, ranges={**ranges, "reinit_layers": depths})

    def prior_of(self, name: str, space: SearchSpace) -> Prior:
        """Return a prior for a space."""
        prior = prior_of(self.target, name == "inverted", space)
        return mirrored(prior, space) if name == "mirrored" else prior

    def seconds_before(self, arm: Arm) -> float:
        """Return the seconds that an arm pays for measures."""
        stored = measures_of(self.target)
        if arm.prior:
            return measures_seconds(stored, self.surrogate.table.epoch_seconds)
        return float(stored["lr_range_seconds"]) if "R" in arm.queue else 0.0


@dataclass(frozen=True)
class Trace:
    """One search.

    Attributes:
        seconds: spent when each trial had ended.
        accuracy: the surrogate's expected accuracy of the incumbent then.
        best_seen: the incumbent's accuracy as the search saw it.
        pruned: how many trials were.
    """

    seconds: tuple[float, ...]
    accuracy: tuple[float, ...]
    best_seen: tuple[float, ...]
    pruned: int

    def after(self, trials: int) -> float:
        """Return the incumbent's expected accuracy after so many trials."""
        return self.accuracy[trials - 1]

    def seconds_to(self, accuracy: float) -> float:
        """Return when the incumbent first was as good as that; infinity if never."""
        reached = (s for s, a in zip(self.seconds, self.accuracy, strict=True) if a >= accuracy)
        return next(reached, math.inf)


Traces = Mapping[str, Sequence[Trace]]
Job = tuple[str, int]


def main() -> None:
    """Replay every arm on every target."""
    options = _options()
    _quiet()
    found: dict[tuple[str, str], Traces] = {}
    documents: dict[str, dict[str, Any]] = {}
    for target in options.targets or targets_with_table():
        table = read_table(target)
        print(report(fit_surrogate(table)), flush=True)
        for kind in KINDS:
            surrogate = fit_surrogate(table, {kind: MODELS[kind]}, forms=(True,))
            setting = Setting(surrogate, options.trials)
            traces = replay(setting, options.arms, options.seeds, options.processes)
            found[target, kind] = traces
            documents.setdefault(target, {})[kind] = document(setting, traces)
            print(markdown(setting, traces), flush=True)
    print(summary(found))
    if options.json:
        where = surroundings(
            __doc__.splitlines()[0], searches_an_arm=options.seeds, trials=options.trials
        )
        text = json.dumps({**where, "targets": documents}, indent=1)
        options.json.write_text(text + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all with a table")
    parser.add_argument("--seeds", type=int, default=40, help="searches of each arm")
    parser.add_argument("--trials", type=int, default=40, help="trials of each search")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    needed = [arm for arm in (BASELINE, OURS, UNPRUNED) if arm not in options.arms]
    options.arms = [*needed, *options.arms]
    return options


def _quiet() -> None:
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)


# The prior and the queue


@cache
def measures_of(target: str) -> dict[str, Any]:
    """Return the stored measures of a target."""
    stored = json.loads(MEASURES.read_text())
    if target not in stored:
        raise SystemExit(f"{MEASURES} has no measures of {target}: run measures.py {target}")
    found: dict[str, Any] = stored[target]
    return found


def prior_of(target: str, inverted: bool, space: SearchSpace | None = None) -> Prior:
    """Build the prior of a target, or the one that the opposite fit would give."""
    known = {field.name for field in fields(Measures)}
    stored = {name: value for name, value in measures_of(target).items() if name in known}
    measures = Measures.from_dict(stored)
    if inverted:
        if measures.random_init is None:
            raise SystemExit(f"{target}: without random_init there is no fit to invert")
        measures = replace(
            measures,
            random_init=measures.fixed_features,
            fixed_features=measures.random_init,
        )
    table = read_table(target)
    space = space or table.space
    recipe = recipe_of(target)
    return build_prior(
        measures, space.n_body_layers, space.ranges, PriorSpec(), recipe, table.n_train
    )


@cache
def recipe_of(target: str) -> RecipeSpec:
    """Return the recipe of a table."""
    return load_spec(HERE / f"{target}.toml").recipe


def mirrored(prior: Prior, space: SearchSpace) -> Prior:
    """Return a prior that is wrong in every knob: its modes reflected in the middle of the ranges.

    An inverted fit leaves much of a prior as it is, the scale of the rates above all.
    """

    def reflect(name: str, value: float) -> float:
        given = space.ranges[name]
        if name in DEPTHS or not given.low > 0:
            return given.low + given.high - value
        return given.low * given.high / value

    beliefs = {
        name: replace(b, mode=reflect(name, b.mode), opposite=reflect(name, b.opposite))
        for name, b in prior.beliefs.items()
    }
    return replace(prior, beliefs=beliefs)


def measures_seconds(stored: Mapping[str, Any], epoch_seconds: float) -> float:
    """Return what the measures cost; training from random weights counts by its epochs."""
    rest = {k: v for k, v in stored.items() if k.endswith("_seconds") and v is not None}
    rest.pop("random_init_seconds", None)
    return float(stored["random_init_epochs"] * epoch_seconds + sum(rest.values()))


def queue_of(arm: Arm, setting: Setting, seed: int) -> list[QueuedTrial]:
    """Return what an arm queues, in its order."""
    space = setting.space_of(arm)
    plain = space.plain_default()
    queue = [QueuedTrial(plain, "default")]
    if not arm.queue:
        return queue
    prior = setting.prior_of(arm.prior or "prior", space)
    by_letter: dict[str, list[QueuedTrial]] = {letter: [] for letter in "MPRSOWG"}
    for one in starting_trials(prior, space, PriorSpec().draws, seed):
        by_letter[LETTERS[one.origin]].append(one)
    if arm.prior is None and space.ranges["reinit_layers"].low == 0:
        at_rate = by_letter["R"][0].params
        by_letter["P"] = [QueuedTrial(replace(at_rate, reinit_layers=0), "from_probe")]
    depth = int(space.ranges["reinit_layers"].nearest(3))
    by_letter["S"] = [
        QueuedTrial(replace(one.params, reinit_layers=depth), "range_rate")
        for one in by_letter["R"]
    ]
    by_letter["G"] = [QueuedTrial(one, "grid") for one in _grid(space, plain, seed)]
    return queue + [one for letter in arm.queue for one in by_letter[letter]]


def _grid(space: SearchSpace, plain: Hyperparameters, seed: int) -> list[Hyperparameters]:
    """Return plain fine-tuning on a grid of rate and `reinit_layers`, in random order."""
    rates = space.ranges["high_lr"]
    lowest = int(space.ranges["reinit_layers"].low)
    points = [
        replace(plain, high_lr=float(rate), reinit_layers=lowest + depth)
        for rate in np.geomspace(rates.low, rates.high, GRID_SIDE)
        for depth in range(GRID_SIDE)
    ]
    order = np.random.default_rng(seed).permutation(len(points))
    return [points[i] for i in order]


def waiting(seed: QueuedTrial) -> FrozenTrial:
    """Return a queued trial as one that Optuna takes before it asks the sampler."""
    return create_trial(
        state=TrialState.WAITING,
        system_attrs={"fixed_params": seed.params.as_dict(), **seed.system_attrs},
        user_attrs={"origin": seed.origin},
    )


# Searches


def replay(setting: Setting, arms: Sequence[str], n_seeds: int, processes: int) -> Traces:
    """Run every arm with every seed."""
    jobs = [(arm, seed) for arm in arms for seed in range(seeds_of(arm, n_seeds))]
    if processes == 1:
        done = [search(setting, *job) for job in jobs]
    else:
        with Pool(processes, _begin, [setting]) as pool:
            done = pool.map(_job, jobs, chunksize=1)
    return {
        arm: [trace for job, trace in zip(jobs, done, strict=True) if job[0] == arm] for arm in arms
    }


def seeds_of(arm: str, n_seeds: int) -> int:
    """Return the searches of an arm: fewer where the sampler takes fifty times as long."""
    return max(2, n_seeds // 4) if ARMS[arm].sampler == "GPSampler" else n_seeds


_settings: list[Setting] = []  # one in each process of the pool


def _begin(setting: Setting) -> None:
    _quiet()
    _settings[:] = [setting]


def _job(job: Job) -> Trace:
    return search(_settings[0], *job)


def search(setting: Setting, arm_name: str, seed: int) -> Trace:
    """Run one search to its last trial."""
    arm = ARMS[arm_name]
    study, space = study_of(arm, setting, seed), setting.space_of(arm)
    epoch_seconds = setting.surrogate.table.epoch_seconds
    spent = setting.seconds_before(arm)
    best_seen, expected = -math.inf, math.nan
    entries: list[tuple[float, float, float]] = []
    for _ in range(setting.trials):
        trial = study.ask()
        mean = setting.surrogate.mean_curve(space.suggest(trial))
        curve = setting.surrogate.observed(mean, seed, trial.number)
        epochs = train(study, trial, curve.tolist())
        spent += epochs * epoch_seconds
        if epochs == len(curve) and curve[-1] > best_seen:
            best_seen, expected = curve[-1], mean[-1]
        entries.append((spent, expected, best_seen))
    seconds, accuracy, seen = zip(*entries, strict=True)
    pruned = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
    return Trace(seconds, accuracy, seen, pruned)


def study_of(arm: Arm, setting: Setting, seed: int) -> optuna.Study:
    """Return an arm's study with its queued trials."""
    prior = setting.prior_of(arm.prior, setting.space_of(arm)) if arm.prior else None
    followed = normal_priors(prior) if prior and arm.sampler == "earned_prior" else None
    study = optuna.create_study(
        direction="maximize",
        sampler=build_sampler(SamplerSpec(name=arm.sampler, seed=seed), followed),
        pruner=build_pruner(arm.pruner, setting.epochs),
    )
    for one in queue_of(arm, setting, seed):
        study.add_trial(waiting(one))
    return study


def train(study: optuna.Study, trial: optuna.Trial, curve: Sequence[float]) -> int:
    """Report a curve epoch by epoch, end the trial, and return its epochs.

    What was queued is not pruned.
    """
    may_prune = "origin" not in trial.user_attrs
    epoch, value = 0, 0.0
    for epoch, value in enumerate(curve, start=1):
        trial.report(float(value), epoch)
        if may_prune and epoch < len(curve) and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, float(value))
    return epoch


# Figures


@dataclass(frozen=True)
class Difference:
    """Of two arms, in accuracy, the same seeds paired.

    Attributes:
        mean: of the first minus the second.
        error: its standard error over the seeds.
    """

    mean: float
    error: float

    def shown(self) -> str:
        """Show points, and whether they count: under NONE, or two errors, nothing does."""
        counts = abs(self.mean) >= NONE and abs(self.mean) > 2 * self.error
        text = f"{100 * self.mean:+.1f} +- {100 * self.error:.1f}"
        return f"**{text}**" if counts else text


def moments(traces: Traces) -> list[int]:
    """Return the numbers of trials to report."""
    trials = len(next(iter(traces.values()))[0].accuracy)
    return [n for n in MOMENTS if n <= trials]


def mean_after(of_arm: Sequence[Trace], trials: int) -> float:
    """Return the mean over the searches of the incumbent's expected accuracy."""
    return float(np.mean([trace.after(trials) for trace in of_arm]))


def difference(one: Sequence[Trace], other: Sequence[Trace], trials: int) -> Difference:
    """Compare two arms after so many trials."""
    pairs = zip(one, other, strict=False)  # an arm may have fewer searches
    gains = np.array([a.after(trials) - b.after(trials) for a, b in pairs])
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
    return Difference(float(gains.mean()), float(error))


def share_of_time(traces: Traces, arm: str) -> float:
    """Return an arm's median seconds to plain TPE's final accuracy, as a share of TPE's seconds."""
    wanted = float(np.median([trace.accuracy[-1] for trace in traces[BASELINE]]))
    whole = float(np.median([trace.seconds[-1] for trace in traces[BASELINE]]))
    ordered = sorted(trace.seconds_to(wanted) for trace in traces[arm])
    return ordered[len(ordered) // 2] / whole


def markdown(setting: Setting, traces: Traces) -> str:
    """Return the report of one target under one surrogate."""
    at = moments(traces)
    rows = []
    for arm, of_arm in traces.items():
        share = share_of_time(traces, arm)
        rows.append(
            [
                arm,
                str(len(of_arm)),
                *(f"{100 * mean_after(of_arm, n):.1f}" for n in at),
                *(difference(of_arm, traces[UNPRUNED], n).shown() for n in at),
                f"{share:.2f}" if math.isfinite(share) else "never",
                f"{np.median([trace.seconds[-1] for trace in of_arm]):.0f}",
                f"{100 * np.mean([trace.pruned for trace in of_arm]) / setting.trials:.0f} %",
                f"{100 * np.mean([t.best_seen[-1] - t.accuracy[-1] for t in of_arm]):+.1f}",
            ]
        )
    head = [
        "arm",
        "searches",
        *(f"{n} trials" for n in at),
        *(f"minus `{UNPRUNED}`, {n}" for n in at),
    ]
    head += ["share of TPE's seconds to its result", "seconds", "pruned", "best seen flatters by"]
    lines = [
        f"### {setting.target}, {setting.surrogate.model}",
        "",
        landscape(setting),
        "",
        "Expected accuracy of the incumbent, per cent, mean of the searches; differences paired by "
        f"seed, with standard error, bold from {100 * NONE:.1f} points and two errors.",
        "",
        *table_lines(head, rows),
        "",
    ]
    return "\n".join(lines)


def landscape(setting: Setting) -> str:
    """Say where what is queued lies on the surrogate."""
    queue = queue_of(_ours("MPRSO"), setting, 0)
    names = [
        "plain default",
        "mode",
        "from the probe",
        "range rate, 2 layers",
        "3 layers",
        "opposite",
    ]
    if len(queue) < len(names):
        names.remove("from the probe")
    values = setting.surrogate.mean_curves([one.params for one in queue])[:, -1]
    told = [f"{name} {100 * v:.1f}" for name, v in zip(names, values, strict=True)]
    return f"Expected of what is queued, per cent: {', '.join(told)}."


def summary(found: Mapping[tuple[str, str], Traces]) -> str:
    """Return the differences of all arms on all targets after 8 and 16 trials."""
    at = [n for n in (8, 16) if n in moments(next(iter(found.values())))]
    lines = []
    for n in at:
        head = ["arm", *(f"{target}, {kind}" for target, kind in found), "mean", "least"]
        rows = []
        for arm in next(iter(found.values())):
            each = [difference(traces[arm], traces[UNPRUNED], n) for traces in found.values()]
            means = [one.mean for one in each]
            ends = [f"{100 * np.mean(means):+.1f}", f"{100 * min(means):+.1f}"]
            rows.append([arm, *(one.shown() for one in each), *ends])
        lines += [f"### After {n} trials, points minus `{UNPRUNED}`", ""]
        lines += [*table_lines(head, rows), ""]
    return "\n".join(lines)


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def document(setting: Setting, traces: Traces) -> dict[str, Any]:
    """Return one target's figures under one surrogate for the JSON file."""
    surrogate, at = setting.surrogate, moments(traces)
    return {
        "fine_tunes": len(surrogate.table.curves),
        "epoch_seconds": round(surrogate.table.epoch_seconds, 3),
        "scores": {name: asdict(scores) for name, scores in surrogate.scores.items()},
        "arms": {
            arm: {
                "accuracy": {n: rounded([mean_after(of_arm, n)], 4)[0] for n in at},
                "minus_no_pruner": {
                    n: rounded(asdict(difference(of_arm, traces[UNPRUNED], n)).values(), 4)
                    for n in at
                },
                "share_of_seconds": rounded([share_of_time(traces, arm)], 3)[0],
                "seconds": rounded([float(np.median([t.seconds[-1] for t in of_arm]))], 1)[0],
                "pruned": rounded([float(np.mean([t.pruned for t in of_arm]))], 2)[0],
                "best_seen": rounded([float(np.mean([t.best_seen[-1] for t in of_arm]))], 4)[0],
            }
            for arm, of_arm in traces.items()
        },
    }


def rounded(values: Iterable[float], digits: int) -> list[float | None]:
    """Round; JSON has neither nan nor infinity."""
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]


def surroundings(question: str, **settings: object) -> dict[str, Any]:
    """Return the question, the machine and the versions that belong to a result."""
    return {
        "question": question,
        "commit": commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"optuna": optuna.__version__, "numpy": np.__version__},
        **settings,
    }


def commit() -> str:
    """Return the commit that was measured, and whether what it runs differed from it."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(HERE), *arguments]
        done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=10)
        return done.stdout.strip()

    try:
        changed = git(
            "status", "--porcelain", "--", f"{HERE}/*.py", str(HERE.parents[1] / "tlsearch")
        )
        return git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


if __name__ == "__main__":
    main()
