"""Is the expected accuracy of a study's best trial what that trial would reach again?

    OMP_NUM_THREADS=1 python bench/search/expected.py [TARGET ...] [--seeds 60] [--processes 1]
                                                      [--arm default] [--json FILE]

Searches surrogates of the real fine-tunes that `table.py` wrote as the product does (its queue, its
sampler, its pruner, results of duplicates taken over), with the noise of real runs. After 8, 16 and
40 trials three figures stand beside what the trial they are about would show on average (the mean
of all it can show, which the surrogate knows):

- seen: the accuracy of the best trial, as it was seen;
- expected: the expected accuracy (`tlsearch.estimate`) of that same trial;
- by expected: the expected accuracy of the trial where it is highest.

The truth comes from two kinds of surrogate, of which one is no Gaussian process. Both see canonical
hyperparameters, as two trials that differ in a knob without effect train the same model. Their
noise holds their own errors, too, so it is somewhat larger than that of real runs.

Prints Markdown. Nothing is asserted.
"""

import argparse
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from replay import (
    KINDS,
    NO_PRUNER,
    WHOLE_QUEUE,
    Arm,
    Setting,
    study_of,
    surroundings,
    table_lines,
    train,
)
from surrogate import MODELS, RESULTS, fit_surrogate, read_table, targets_with_table

from tlsearch.estimate import Expected, expected_scores
from tlsearch.records import Hyperparameters, TrialRecord
from tlsearch.spec import PrunerSpec

TRIALS = (8, 16, 40)
ARMS = {
    "default": Arm("earned_prior", PrunerSpec(), "prior", WHOLE_QUEUE),
    "no pruner": Arm("earned_prior", NO_PRUNER, "prior", WHOLE_QUEUE),
}
GOAL = 0.01
FIGURES = ("seen", "expected", "by expected")


@dataclass(frozen=True)
class Outcome:
    """One search, after some of its trials.

    Attributes:
        errors: what each of FIGURES says minus the truth.
        again: the truth of the best seen, and of the best by expected accuracy.
        sd: of the expected accuracy of the best seen.
        process_sd: its part that is not common to all trials.
    """

    errors: tuple[float, float, float]
    again: tuple[float, float]
    sd: float
    process_sd: float


def main() -> None:
    """Replay the searches of every target, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all with a table")
    parser.add_argument("--seeds", type=int, default=60, help="searches of each target and kind")
    parser.add_argument("--arm", choices=list(ARMS), default="default")
    parser.add_argument("--json", type=Path, default=RESULTS / "expected.json")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    jobs = [
        (target, kind, ARMS[options.arm], options.seeds)
        for target in options.targets or targets_with_table()
        for kind in KINDS
    ]
    with Pool(options.processes) as pool:
        found = [row for rows in pool.starmap(rows_of, jobs, chunksize=1) for row in rows]
    print(markdown(found))
    settings = {"arm": options.arm, "searches": options.seeds, "seeds": list(range(options.seeds))}
    document = surroundings(__doc__.splitlines()[0], **settings) | {"rows": found}
    options.json.write_text(json.dumps(document, indent=1) + "\n")


def rows_of(target: str, kind: str, arm: Arm, n_seeds: int) -> list[dict[str, Any]]:
    """Return the figures of one target under one kind of truth, a row a number of trials."""
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    surrogate = fit_surrogate(read_table(target), {kind: MODELS[kind]}, forms=(True,))
    setting = Setting(surrogate, max(TRIALS))
    by_trials: dict[int, list[Outcome]] = {n: [] for n in TRIALS}
    for seed in range(n_seeds):
        trials, truths = search(setting, arm, seed)
        for n in TRIALS:
            by_trials[n].append(outcome(setting, trials[:n], truths))
    return [
        {"target": target, "truth": kind, "trials": n, **summary(outcomes)}
        for n, outcomes in by_trials.items()
    ]


def search(setting: Setting, arm: Arm, seed: int) -> tuple[list[TrialRecord], list[float]]:
    """Run one search; return its trials, and what each would show on average."""
    study = study_of(arm, setting, seed)
    complete: dict[Hyperparameters, tuple[int, list[float]]] = {}
    trials, truths = [], []
    for _ in range(setting.trials):
        trial = study.ask()
        params = setting.space.suggest(trial)
        mean = setting.surrogate.mean_curve(params)
        curve: list[float] = setting.surrogate.observed(mean, seed, trial.number).tolist()
        canonical = params.canonical(setting.space.n_body_layers)
        original, curve = complete.get(canonical, (None, curve))
        epochs = train(study, trial, curve)
        whole = epochs == len(curve)
        if whole:
            complete.setdefault(canonical, (trial.number, curve))
        record = TrialRecord(
            number=trial.number,
            state="complete" if whole else "pruned",
            val_accuracy=curve[epochs - 1],
            params=params,
            epochs=epochs,
            seconds=None,
            duplicate_of=original,
        )
        trials.append(record)
        truths.append(setting.surrogate.expected(mean))
    return trials, truths


def outcome(setting: Setting, trials: Sequence[TrialRecord], truths: Sequence[float]) -> Outcome:
    """Compare what a search shows with the truth."""
    n_val = setting.surrogate.table.n_val
    expected = expected_scores(trials, setting.space, n_val)
    seen = {trial.number: trial.val_accuracy or 0.0 for trial in trials if trial.number in expected}
    best = max(seen, key=lambda number: (seen[number], -number))
    by_expected = max(expected, key=lambda number: (expected[number].score, -number))
    of_best: Expected = expected[best]
    common = of_best.score * (1 - of_best.score) / n_val
    return Outcome(
        errors=(
            seen[best] - truths[best],
            of_best.score - truths[best],
            expected[by_expected].score - truths[by_expected],
        ),
        again=(truths[best], truths[by_expected]),
        sd=of_best.sd,
        process_sd=math.sqrt(max(of_best.sd**2 - common, 0.0)),
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return bias, its standard error and the root of the mean squared error of each figure."""
    errors = np.array([one.errors for one in outcomes])
    again = np.array([one.again for one in outcomes]).mean(axis=0)
    standardised = errors[:, 1] / np.array([one.process_sd for one in outcomes])
    figures = {
        name: {
            "bias": round(float(column.mean()), 5),
            "bias_error": round(float(column.std(ddof=1) / math.sqrt(len(column))), 5),
            "rmse": round(float(np.sqrt((column**2).mean())), 5),
        }
        for name, column in zip(FIGURES, errors.T, strict=True)
    }
    return {
        **figures,
        "again": [round(float(value), 5) for value in again],
        "sd": round(float(np.mean([one.sd for one in outcomes])), 5),
        "process_sd": round(float(np.mean([one.process_sd for one in outcomes])), 5),
        "standardised_rms": round(float(np.sqrt((standardised**2).mean())), 3),
    }


def markdown(found: Sequence[dict[str, Any]]) -> str:
    """Return the report."""
    head = ["target", "truth", "trials", *FIGURES, "again: seen, by expected", "sd, of it process"]
    rows = [
        [
            row["target"],
            row["truth"],
            str(row["trials"]),
            *(_cell(row[name]) for name in FIGURES),
            ", ".join(f"{100 * value:.1f}" for value in row["again"]),
            f"{100 * row['sd']:.1f}, {100 * row['process_sd']:.1f}",
        ]
        for row in found
    ]
    worst = {name: max(abs(row[name]["bias"]) for row in found) for name in FIGURES}
    lines = [
        "",
        "Points of accuracy: bias +- its standard error (root of the mean squared error).",
        "",
    ]
    lines += [*table_lines(head, rows), ""]
    lines += [
        f"- {name}: largest bias {100 * bias:.1f} points; goal under {100 * GOAL:.0f}: "
        f"{'met' if bias < GOAL else 'missed'}"
        for name, bias in worst.items()
    ]
    return "\n".join(lines)


def _cell(figure: dict[str, float]) -> str:
    bias, error, rmse = (100 * figure[key] for key in ("bias", "bias_error", "rmse"))
    return f"{bias:+.2f} +- {error:.2f} ({rmse:.1f})"


if __name__ == "__main__":
    main()
