"""Which search finds a good fine-tune soonest, in training seconds? What does a wrong prior cost?

    OMP_NUM_THREADS=1 python bench/search/replay.py [TARGET ...] [--seeds 50] [--trials 40]
                                                    [--arms ARM ...] [--processes 1] [--json FILE]

Every arm searches, one trial after another, a surrogate of real fine-tunes (`surrogate.py`, fitted
to what `table.py` wrote) with Optuna in memory. It sees noisy curves; it is judged by the
surrogate's expected accuracy of its incumbent, the complete trial with the best final accuracy
seen so far, so that picking lucky noise wins nothing. The same seed and trial number meet the same
noise in every arm. Every arm runs the plain fine-tuning default first.

A trial takes its epochs times the table's median seconds an epoch: the seconds measured vary with
the load of the machine. Arms with a prior first pay for the measures it comes from, the network
trained from random weights by its epochs, the rest as measured (`results/measures.json`).

Prints Markdown. Nothing is asserted.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial
from surrogate import RESULTS, Surrogate, fit_surrogate, read_table, report, targets_with_table

from tlsearch.optuna_ext.earned_prior import COMPONENT
from tlsearch.prior import build_prior, normal_priors, starting_trials
from tlsearch.records import DEPTHS, Hyperparameters, Measures, Prior, QueuedTrial
from tlsearch.sampler import build_pruner, build_sampler
from tlsearch.space import SearchSpace
from tlsearch.spec import PriorSpec, PrunerSpec, SamplerSpec, load_spec

HERE = Path(__file__).resolve().parent
MEASURES = RESULTS / "measures.json"
GOAL_SHARE, GOAL_LOSS = 0.25, 0.10
UNIFORM_DRAWS = 10_000

# Until measures.json is there: plausible for ImageNet weights on a few hundred images.
HAND_WRITTEN: Mapping[str, Any] = {
    "fixed_features": 0.72,
    "fixed_features_strength": 0.1,
    "random_init": 0.45,
    "random_init_epochs": 20,
    "fisher": 6.0,
    "fisher_floor": 1.0,
    "fisher_floor_spread": 0.05,
    "emd": None,
    "emd_similarity": None,
    "emd_source": "none",
    "lr_range": 0.03,
    "n_val": 200,
    "feature_seconds": 5.0,
    "lr_range_seconds": 3.0,
    "random_init_seconds": 25.0,
}
NO_PRUNER = PrunerSpec(name="none")


@dataclass(frozen=True)
class Arm:
    """One way to search.

    Attributes:
        sampler: as in a spec's `[sampler]`.
        pruner: the `[pruner]` table.
        prior: None, `prior`, `inverted` or `mirrored`: whose seeds are queued, and what
            earned_prior follows.
        startup_trials: finished trials before TPE draws.
    """

    sampler: str
    pruner: PrunerSpec = NO_PRUNER
    prior: str | None = None
    startup_trials: int = SamplerSpec().startup_trials


ARMS: Mapping[str, Arm] = {
    "random": Arm("random"),
    "tpe": Arm("tpe"),
    "tpe+10": Arm("tpe", startup_trials=10),
    "tpe+median": Arm("tpe", PrunerSpec(name="median", warmup_fraction=0.5)),
    "enqueue": Arm("tpe", prior="prior"),
    "earned_prior": Arm("earned_prior", prior="prior"),
    "earned_prior+pruner": Arm("earned_prior", PrunerSpec(), "prior"),
    "inverted": Arm("earned_prior", prior="inverted"),
    "inverted+pruner": Arm("earned_prior", PrunerSpec(), "inverted"),
    "mirrored": Arm("earned_prior", prior="mirrored"),
    "enqueue mirrored": Arm("tpe", prior="mirrored"),
}
BASELINE = "tpe"
# Arm, and the goal it is held against.
GOALS = {"earned_prior": "fast", "earned_prior+pruner": "fast"}
GOALS |= {"inverted": "robust", "inverted+pruner": "robust", "mirrored": "robust"}


@dataclass(frozen=True)
class Setting:
    """All that the searches of one target share.

    Attributes:
        surrogate: the replayed fine-tunes.
        priors: `prior` and `inverted`.
        prior_seconds: what the measures behind a prior cost.
        measured: whether they are the target's own, not written by hand.
        trials: of each search.
    """

    surrogate: Surrogate
    priors: Mapping[str, Prior]
    prior_seconds: float
    measured: bool
    trials: int

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self.surrogate.table.space

    @property
    def epochs(self) -> int:
        """Epochs of a trial that is not pruned."""
        return int(self.surrogate.table.curves.shape[1])


@dataclass(frozen=True)
class Trace:
    """One search, an entry a trial.

    Attributes:
        seconds: spent when the trial had ended.
        accuracy: the surrogate's expected accuracy of the incumbent then.
        best_seen: the incumbent's accuracy as the search saw it.
        origins: a letter a trial: Default, Mode, draW, Opposite; p, t, u = prior, TPE, uniform of
            earned_prior; . = another sampler.
        pruned: how many trials were.
        wall: seconds that the replay itself took.
    """

    seconds: tuple[float, ...]
    accuracy: tuple[float, ...]
    best_seen: tuple[float, ...]
    origins: str
    pruned: int
    wall: float

    def after_trials(self, n: int) -> float:
        """Return the incumbent's expected accuracy after n trials, one at least."""
        return self.accuracy[max(n, 1) - 1]

    def at_seconds(self, seconds: float) -> float:
        """Return the incumbent's expected accuracy after these seconds; nan if none is."""
        ended = int(np.searchsorted(self.seconds, seconds * (1 + 1e-9), side="right"))
        return self.accuracy[ended - 1] if ended else math.nan

    def seconds_to(self, accuracy: float) -> float:
        """Return when the incumbent first was as good as that; infinity if never."""
        reached = (s for s, a in zip(self.seconds, self.accuracy, strict=True) if a >= accuracy)
        return next(reached, math.inf)


Traces = Mapping[str, Sequence[Trace]]
Job = tuple[str, int]


def main() -> None:
    """Replay every arm on every target."""
    options = _options()
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    targets = {}
    for target in options.targets or targets_with_table():
        setting = setting_of(target, options.trials)
        traces = replay(setting, options.arms, options.seeds, options.processes)
        print(markdown(setting, traces), flush=True)
        targets[target] = document(setting, traces)
    if options.json:
        where = surroundings(
            __doc__.splitlines()[0],
            searches_an_arm=options.seeds,
            seeds=list(range(options.seeds)),
            trials=options.trials,
        )
        text = json.dumps({**where, "targets": targets})
        options.json.write_text(text + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all with a table")
    parser.add_argument("--seeds", type=int, default=50, help="searches of each arm")
    parser.add_argument("--trials", type=int, default=40, help="trials of each search")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    if BASELINE not in options.arms:
        options.arms.append(BASELINE)
    return options


# The prior and its seeds


def setting_of(target: str, trials: int) -> Setting:
    """Fit the surrogate of a target and build both its priors."""
    surrogate = fit_surrogate(read_table(target))
    measures, measured = measures_of(target)
    priors = {name: prior_of(target, name == "inverted") for name in ("prior", "inverted")}
    priors["mirrored"] = mirrored(priors["prior"], surrogate.table.space)
    cost = measures_seconds(measures, surrogate.table.epoch_seconds)
    return Setting(surrogate, priors, cost, measured, trials)


def measures_of(target: str) -> tuple[dict[str, Any], bool]:
    """Return the measures of a target, and whether they are its own."""
    stored = json.loads(MEASURES.read_text()) if MEASURES.exists() else {}
    return (stored[target], True) if target in stored else (dict(HAND_WRITTEN), False)


def prior_of(target: str, inverted: bool) -> Prior:
    """Build the prior of a target, or the one that the opposite fit would give."""
    stored, _ = measures_of(target)
    known = {field.name for field in fields(Measures)}
    measures = Measures.from_dict({k: v for k, v in stored.items() if k in known})
    if inverted:
        if measures.random_init is None:
            raise SystemExit(f"{target}: without random_init there is no fit to invert")
        measures = replace(
            measures,
            random_init=measures.fixed_features,
            fixed_features=measures.random_init,
        )
    space = read_table(target).space
    recipe = load_spec(HERE / f"{target}.toml").recipe
    n_train = read_table(target).n_train
    return build_prior(measures, space.n_body_layers, space.ranges, PriorSpec(), recipe, n_train)


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


def waiting(seed: QueuedTrial) -> FrozenTrial:
    """Return a seed as a trial that Optuna takes before it asks the sampler."""
    return create_trial(
        state=TrialState.WAITING,
        system_attrs={"fixed_params": seed.params.as_dict(), **seed.system_attrs},
        user_attrs={"origin": seed.origin},
    )


# Searches


def replay(setting: Setting, arms: Sequence[str], n_seeds: int, processes: int) -> Traces:
    """Run every arm with every seed."""
    jobs = [(arm, seed) for arm in arms for seed in range(n_seeds)]
    if processes == 1:
        done = [search(setting, *job) for job in jobs]
    else:
        with Pool(processes, _begin, [setting]) as pool:
            done = pool.map(_job, jobs, chunksize=1)
    return {
        arm: [trace for job, trace in zip(jobs, done, strict=True) if job[0] == arm] for arm in arms
    }


_settings: list[Setting] = []  # one in each process of the pool


def _begin(setting: Setting) -> None:
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _settings[:] = [setting]


def _job(job: Job) -> Trace:
    return search(_settings[0], *job)


def search(setting: Setting, arm_name: str, seed: int) -> Trace:
    """Run one search to its last trial."""
    began = time.perf_counter()
    arm = ARMS[arm_name]
    study = study_of(arm, setting, seed)
    epoch_seconds = setting.surrogate.table.epoch_seconds
    spent = setting.prior_seconds if arm.prior else 0.0
    best_seen, expected = -math.inf, math.nan
    entries: list[tuple[float, float, float]] = []
    for _ in range(setting.trials):
        trial = study.ask()
        mean = setting.surrogate.mean_curve(setting.space.suggest(trial))
        curve = setting.surrogate.observed(mean, seed, trial.number)
        epochs = train(study, trial, curve.tolist())
        spent += epochs * epoch_seconds
        if epochs == len(curve) and curve[-1] > best_seen:
            best_seen, expected = curve[-1], mean[-1]
        entries.append((spent, expected, best_seen))
    seconds, accuracy, seen = zip(*entries, strict=True)
    pruned = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
    origins = "".join(_letter(trial) for trial in study.get_trials(deepcopy=False))
    return Trace(seconds, accuracy, seen, origins, pruned, time.perf_counter() - began)


def study_of(arm: Arm, setting: Setting, seed: int) -> optuna.Study:
    """Return an arm's study with its queued trials."""
    beliefs, seeds = None, [QueuedTrial(setting.space.plain_default(), "default")]
    if arm.prior:
        prior = setting.priors[arm.prior]
        beliefs = normal_priors(prior)
        seeds += starting_trials(prior, setting.space, PriorSpec().draws, seed)
    study = optuna.create_study(
        direction="maximize",
        sampler=build_sampler(_sampler(arm, seed), beliefs),
        pruner=build_pruner(arm.pruner, setting.epochs),
    )
    for one in seeds:
        study.add_trial(waiting(one))
    return study


def _sampler(arm: Arm, seed: int) -> SamplerSpec:
    return SamplerSpec(name=arm.sampler, seed=seed, startup_trials=arm.startup_trials)


def train(study: optuna.Study, trial: optuna.Trial, curve: Sequence[float]) -> int:
    """Report a curve epoch by epoch, end the trial, and return its epochs; seeds are not pruned."""
    may_prune = "origin" not in trial.user_attrs
    epoch, value = 0, 0.0
    for epoch, value in enumerate(curve, start=1):
        trial.report(float(value), epoch)
        if may_prune and epoch < len(curve) and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, float(value))
    return epoch


def _letter(trial: FrozenTrial) -> str:
    letters = {"default": "D", "prior": "M", "draw": "W", "opposite": "O"}
    origin = trial.user_attrs.get("origin")
    return letters[origin] if origin else str(trial.system_attrs.get(COMPONENT, "."))[0]


# Figures


def markdown(setting: Setting, traces: Traces) -> str:
    """Return the report of one target."""
    target, seeds = setting.surrogate.table.target, len(traces[BASELINE])
    lines = [
        report(setting.surrogate),
        *landscape(setting),
        "",
        f"### {target}: {seeds} searches of {setting.trials} trials an arm",
        "",
        *accuracy_table(setting, traces),
        "",
        *seconds_table(setting, traces),
        "",
        *goals(setting, traces),
        "",
    ]
    return "\n".join(lines)


def landscape(setting: Setting) -> list[str]:
    """Say where the default and the prior lie on the surrogate, before any search."""
    surrogate, prior = setting.surrogate, setting.priors["prior"]
    known = [setting.space.plain_default(), prior.mode, prior.opposite]
    default, mode, opposite = surrogate.mean_curves(known)[:, -1]
    uniform = surrogate.mean_curves(_uniform(setting.space))[:, -1]
    source = "" if setting.measured else " (**measures written by hand**)"
    return [
        f"Expected accuracy: plain default {_pct(default)}, prior's mode {_pct(mode)}, opposite "
        f"mode {_pct(opposite)}; of {UNIFORM_DRAWS} uniform draws the median "
        f"{_pct(float(np.median(uniform)))}, the best 1 % {_pct(np.quantile(uniform, 0.99))}, the "
        f"best {_pct(uniform.max())}.",
        "",
        f"Prior: weight of 'do not fit' {prior.unfit:.2f}, inverted "
        f"{setting.priors['inverted'].unfit:.2f}{source}; the measures cost "
        f"{setting.prior_seconds:.0f} s, which arms with a prior pay first.",
    ]


def _uniform(space: SearchSpace) -> list[Hyperparameters]:
    generator = np.random.default_rng(0)
    columns: dict[str, NDArray[Any]] = {}
    for name, found in space.distributions().items():
        if isinstance(found, IntDistribution):
            columns[name] = generator.integers(found.low, found.high + 1, UNIFORM_DRAWS)
        elif found.log:
            ends = math.log10(found.low), math.log10(found.high)
            columns[name] = 10 ** generator.uniform(*ends, UNIFORM_DRAWS)
        else:
            columns[name] = generator.uniform(found.low, found.high, UNIFORM_DRAWS)
    return [
        Hyperparameters.from_dict({name: column[i] for name, column in columns.items()})
        for i in range(UNIFORM_DRAWS)
    ]


def accuracy_table(setting: Setting, traces: Traces) -> list[str]:
    """Return the accuracies after shares of the trials and of plain TPE's seconds."""
    trials = [setting.trials // 4, setting.trials // 2, setting.trials]
    whole = baseline_seconds(traces)
    moments: list[tuple[str, Callable[[Trace], float]]] = [
        (f"{n} trials", partial(Trace.after_trials, n=n)) for n in trials
    ]
    moments += [
        (f"{s:.0f} s", partial(Trace.at_seconds, seconds=s)) for s in (whole / 4, whole / 2, whole)
    ]
    moments.append((f"best seen, {setting.trials} trials", lambda trace: trace.best_seen[-1]))
    rows = [
        [arm, *(_range([figure(one) for one in of_arm]) for _, figure in moments)]
        for arm, of_arm in traces.items()
    ]
    return [
        "Expected accuracy of the incumbent, per cent: median (10 % to 90 % of the searches). "
        f"{whole:.0f} s is what plain TPE takes for {setting.trials} trials.",
        "",
        *table_lines(["arm", *(name for name, _ in moments)], rows),
    ]


def seconds_table(setting: Setting, traces: Traces) -> list[str]:
    """Return how long each arm takes to be as good as plain TPE is in the end."""
    whole, wanted = baseline_seconds(traces), baseline_accuracy(traces)
    rows = []
    for arm, of_arm in traces.items():
        seconds = [trace.seconds_to(wanted) for trace in of_arm]
        median = _median(seconds)
        rows.append(
            [
                arm,
                _seconds(median),
                f"{100 * np.mean(np.isfinite(seconds)):.0f} %",
                f"{median / whole:.2f}" if math.isfinite(median) else "-",
                _seconds(together_seconds(of_arm, wanted)),
                f"{_median([trace.seconds[-1] for trace in of_arm]):.0f}",
                f"{100 * np.mean([trace.pruned for trace in of_arm]) / setting.trials:.0f} %",
            ]
        )
    names = [
        "arm",
        "seconds to it",
        "searches that reach it",
        f"share of {whole:.0f} s",
        "median search is there",
    ]
    return [
        f"When the incumbent first is as good as plain TPE's median after {setting.trials} trials, "
        f"{_pct(wanted)}: the median over the searches (an incumbent can get worse again), and "
        "when the median of all incumbents is.",
        "",
        *table_lines([*names, f"seconds of {setting.trials} trials", "pruned"], rows),
    ]


def goals(setting: Setting, traces: Traces) -> list[str]:
    """Return a line for each goal that an arm is held against."""
    makers = {"fast": _fast_goal, "robust": _robust_goal}
    return [
        f"- {arm}: {makers[goal](setting, traces, arm)}"
        for arm, goal in GOALS.items()
        if arm in traces
    ]


def _fast_goal(setting: Setting, traces: Traces, arm: str) -> str:
    ratio = time_to_baseline(traces, arm) / baseline_seconds(traces)
    verdict = _verdict(ratio <= GOAL_SHARE)
    return (
        f"takes {_times(ratio)} of plain TPE's {setting.trials}-trial seconds to its accuracy; "
        f"goal at most {GOAL_SHARE:.2f}: {verdict}"
    )


def _robust_goal(setting: Setting, traces: Traces, arm: str) -> str:
    ratio = time_to_baseline(traces, arm) / time_to_baseline(traces, BASELINE)
    ends = [_median([trace.accuracy[-1] for trace in traces[one]]) for one in (arm, BASELINE)]
    return (
        f"with the prior's sign flipped, takes {_times(ratio)} of the seconds that plain TPE takes "
        f"to the same accuracy; goal at most {1 + GOAL_LOSS:.2f}: "
        f"{_verdict(ratio <= 1 + GOAL_LOSS)}; after {setting.trials} trials "
        f"{100 * (ends[0] - ends[1]):+.1f} points against plain TPE"
    )


def baseline_seconds(traces: Traces) -> float:
    """Return the median seconds of plain TPE's searches."""
    return _median([trace.seconds[-1] for trace in traces[BASELINE]])


def baseline_accuracy(traces: Traces) -> float:
    """Return the median accuracy that plain TPE ends with."""
    return _median([trace.accuracy[-1] for trace in traces[BASELINE]])


def time_to_baseline(traces: Traces, arm: str) -> float:
    """Return the median seconds of an arm to plain TPE's accuracy."""
    wanted = baseline_accuracy(traces)
    return _median([trace.seconds_to(wanted) for trace in traces[arm]])


def together_seconds(of_arm: Sequence[Trace], wanted: float) -> float:
    """Return when half of the searches are as good as that at the same moment."""
    for moment in sorted({seconds for trace in of_arm for seconds in trace.seconds}):
        accuracies = [trace.at_seconds(moment) for trace in of_arm]
        if not any(map(math.isnan, accuracies)) and _median(accuracies) >= wanted:
            return moment
    return math.inf


def _seconds(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "never"


def _median(values: Sequence[float]) -> float:
    """Return the median; infinity is a value like others."""
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2


def _range(values: Sequence[float]) -> str:
    if np.isnan(values).any():
        return "-"
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return f"{100 * middle:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _pct(value: float) -> str:
    return f"{100 * value:.1f} %"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if math.isfinite(ratio) else "no finite multiple"


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def document(setting: Setting, traces: Traces) -> dict[str, Any]:
    """Return one target's figures for the JSON file."""
    surrogate = setting.surrogate
    return {
        "fine_tunes": len(surrogate.table.curves),
        "epoch_seconds": round(surrogate.table.epoch_seconds, 3),
        "surrogate": surrogate.model,
        "scores": {name: asdict(scores) for name, scores in surrogate.scores.items()},
        "measured": setting.measured,
        "prior_seconds": round(setting.prior_seconds, 1),
        "priors": {name: prior.as_dict() for name, prior in setting.priors.items()},
        "baseline_seconds": round(baseline_seconds(traces), 1),
        "baseline_accuracy": round(baseline_accuracy(traces), 4),
        "seconds_to_it": {arm: rounded([time_to_baseline(traces, arm)], 1)[0] for arm in traces},
        "traces": {arm: [_compact(trace) for trace in of_arm] for arm, of_arm in traces.items()},
    }


def _compact(trace: Trace) -> dict[str, Any]:
    return {
        "seconds": rounded(trace.seconds, 1),
        "accuracy": rounded(trace.accuracy, 4),
        "best_seen": rounded(trace.best_seen, 4),
        "origins": trace.origins,
        "pruned": trace.pruned,
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
        changed = git("status", "--porcelain", "--", str(HERE), str(HERE.parents[1] / "tlsearch"))
        return git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


if __name__ == "__main__":
    main()
