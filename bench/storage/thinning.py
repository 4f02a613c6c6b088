"""Does TPE find as much when it sees 500 of its trials only?

    OMP_NUM_THREADS=1 python bench/storage/thinning.py [--seeds 10] [--trials 3000]
        [--objectives hill rugged ridge] [--json FILE]

Seven-dimensional objectives on tlsearch's search space, in memory, all of them noisy. The two
samplers draw the same until 1,000 trials are there, so each seed's first 1,000 are run once; from
there on `TPESampler` goes on with all trials and `ThinnedTPESampler` with 500. Compared are,
without the noise, the best trial so far and the mean of the trials drawn since the mark before.
Prints Markdown; run again with the same `--json`, it goes on after the seeds that are there.
"""

import argparse
import itertools
import json
import math
import statistics
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import optuna
from filled import SPACE, accuracy, unit
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, create_trial

from tlsearch.optuna_ext import ThinnedTPESampler

Objective = Callable[[Mapping[str, float]], float]
Found = dict[str, dict[str, list[float]]]  # by sampler and by what is compared
SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "all": lambda seed: TPESampler(seed=seed, multivariate=True),
    "thinned": lambda seed: ThinnedTPESampler(seed=seed, multivariate=True),
}
SHARED = 1000


def hill(params: Mapping[str, float]) -> float:
    """Return one hill, the benchmark's own; its top is 0.9."""
    return accuracy(dict(params))


def ridge(params: Mapping[str, float]) -> float:
    """Return a narrow, bent ridge through pairs of hyperparameters; its top is 1."""
    x = list(unit(dict(params)).values())
    bends = sum((b - (a - 0.4) ** 2 - 0.3) ** 2 for a, b in itertools.pairwise(x))
    return 1 - 2 * bends - 0.1 * sum((a - 0.6) ** 2 for a in x)


def rugged(params: Mapping[str, float]) -> float:
    """Return a hill with many small ones on it; its top is 1."""
    x = [v - 0.55 for v in unit(dict(params)).values()]
    return 1 - sum(v**2 + 0.02 * (1 - math.cos(6 * math.pi * v)) for v in x)


OBJECTIVES: Mapping[str, Objective] = {"hill": hill, "ridge": ridge, "rugged": rugged}


def run(
    objective: Objective, name: str, seed: int, before: list[FrozenTrial], n: int
) -> list[FrozenTrial]:
    """Return the trials of a study that begins with some and ends with n."""
    sampler = SAMPLERS[name](1000 * seed + len(before))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(before)
    for number in range(len(before), n):
        trial = study.ask()
        params = SPACE.suggest(trial).as_dict()
        noise = float(np.random.default_rng([seed, number]).normal())
        study.tell(trial, objective(params) + 0.002 * noise)
    return [_bare(trial) for trial in study.get_trials(deepcopy=False)]


def found(values: list[float], marks: list[int]) -> dict[str, list[float]]:
    """Return the best value up to each mark, and the mean since the mark before."""
    since = [0, *marks[:-1]]
    return {
        "best": [max(values[:at]) for at in marks],
        "mean": [statistics.fmean(values[a:b]) for a, b in zip(since, marks, strict=True)],
    }


def compare(objective: Objective, seed: int, n: int, marks: list[int]) -> Found:
    """Return what each sampler found by each mark."""
    before = run(objective, "all", seed, [], min(SHARED, n))
    trials = {name: run(objective, name, seed, before, n) for name in SAMPLERS}
    return {
        name: found([objective(t.params) for t in each], marks) for name, each in trials.items()
    }


def report(results: Mapping[str, list[Found]], marks: list[int]) -> str:
    """Return a table: means over seeds and their difference, with twice its standard error."""
    lines = [
        "| objective | trials | what | all trials | 500 of them | difference | better / worse |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, seeds), (i, at), what in itertools.product(
        results.items(), enumerate(marks), ("best", "mean")
    ):
        if at <= SHARED:
            continue
        all_, thinned = (np.array([s[arm][what][i] for s in seeds]) for arm in SAMPLERS)
        gap = thinned - all_
        lines.append(
            f"| {name} | {at} | {what} | {all_.mean():.4f} | {thinned.mean():.4f} |"
            f" {gap.mean():+.4f} ± {2 * gap.std(ddof=1) / math.sqrt(len(gap)):.4f} |"
            f" {(gap > 0).sum()} / {(gap < 0).sum()} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the comparison; write after each seed, so that it can be interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=["hill", "rugged"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", ExperimentalWarning)
    marks = [m for m in (SHARED, 2000, 3000) if m <= given.trials]
    known = (
        json.loads(given.json.read_text())["found"] if given.json and given.json.exists() else {}
    )
    results: dict[str, list[Found]] = {name: known.get(name, []) for name in given.objectives}
    for seed, (name, seeds) in itertools.product(range(given.seeds), results.items()):
        if seed >= len(seeds):
            seeds.append(compare(OBJECTIVES[name], seed, given.trials, marks))
        if given.json:
            given.json.write_text(json.dumps({"marks": marks, "found": results}, indent=1) + "\n")
    print(report(results, marks))


def _bare(trial: FrozenTrial) -> FrozenTrial:
    return create_trial(params=trial.params, distributions=trial.distributions, value=trial.value)


if __name__ == "__main__":
    main()
