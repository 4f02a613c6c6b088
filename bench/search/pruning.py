"""How often would a pruner have killed the trial that ends best, and what does it save?

    OMP_NUM_THREADS=1 python bench/search/pruning.py [TARGET ...] [--orders 50] [--trials 40]
                                                     [--json FILE]

Draws trials from the real fine-tunes that `table.py` wrote, none twice, and feeds their real
learning curves, one trial after another, to the real pruners in an Optuna study in memory. As in
the product, the first trial is never pruned, nor is any after its last epoch. Every pruner meets
the same orders. Wilcoxon's exact test takes most of the time.

The best trial is the one with the highest validation accuracy after the last epoch; of trials that
tie, one that survives is enough. The orders share one table, so they are not independent: how many
different trials are the best of an order says how much the figures rest on.

Prints Markdown. Nothing is asserted.
"""

import argparse
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import RandomSampler
from optuna.trial import TrialState
from replay import rounded, surroundings, table_lines
from scipy.stats import spearmanr
from surrogate import Array, Table, read_table, targets_with_table

from tlsearch.sampler import build_pruner
from tlsearch.spec import PrunerSpec

ORDERS = 2_718  # begins the seed of every order
TOP_SHARE = 0.1

# The number at the end is warmup_fraction. With 10 epochs patient cannot speak before the 5th.
PRUNERS: Mapping[str, PrunerSpec] = {
    "none": PrunerSpec(name="none"),
    **{f"median, {w}": PrunerSpec(name="median", warmup_fraction=w) for w in (0.2, 0.3, 0.5, 0.7)},
    **{
        f"percentile 25, {w}": PrunerSpec(name="percentile", percentile=25, warmup_fraction=w)
        for w in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    },
    **{
        f"successive_halving 3, {w}": PrunerSpec(name="successive_halving", warmup_fraction=w)
        for w in (0.25, 0.5)
    },
    "hyperband 3, 0.25": PrunerSpec(name="hyperband", warmup_fraction=0.25),
    **{
        f"patient {n}, 0.25": PrunerSpec(name="patient", patience_epochs=n, warmup_fraction=0.25)
        for n in (3, 5)
    },
    "wilcoxon p=.1, 0.25": PrunerSpec(name="wilcoxon", p_threshold=0.1, warmup_fraction=0.25),
}


@dataclass(frozen=True)
class Replayed:
    """What a pruner did to one order of trials.

    Attributes:
        lost: best final accuracy of all trials minus that of the survivors.
        top_pruned: share pruned of the best tenth, with those that tie with its last.
        pruned: share of the trials pruned.
        saved: share of the epochs not run.
    """

    lost: float
    top_pruned: float
    pruned: float
    saved: float


@dataclass(frozen=True)
class Figures:
    """What a pruner did to many orders; names as in `Replayed`.

    Attributes:
        best_pruned: share of the orders that lost their best trial.
        top_pruned, lost, pruned, saved: means over the orders.
        lost_90: the 90 % quantile of `lost`.
    """

    best_pruned: float
    top_pruned: float
    lost: float
    lost_90: float
    saved: float
    pruned: float


Outcomes = Mapping[str, Sequence[Replayed]]  # by pruner, one for each order


def main() -> None:
    """Replay every order with every pruner on every target."""
    options = _options()
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tables = {target: read_table(target) for target in options.targets or targets_with_table()}
    question = __doc__.splitlines()[0]
    where = surroundings(question, orders=options.orders, trials=options.trials)
    print(heading(where))
    print(correlation_table(tables), flush=True)
    outcomes: dict[str, Outcomes] = {}
    for target, table in tables.items():
        orders = draw_orders(len(table.curves), options.orders, options.trials)
        outcomes[target] = replay(table, orders)
        print(of_target(table, orders, outcomes[target]), flush=True)
    if len(tables) > 1:
        print(of_all(outcomes))
    if options.json:
        text = json.dumps({**where, **document(tables, outcomes)})
        options.json.write_text(text + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all with a table")
    parser.add_argument("--orders", type=int, default=50, help="random orders of each target")
    parser.add_argument("--trials", type=int, default=40, help="trials of each order")
    parser.add_argument("--json", type=Path, default=None)
    return parser.parse_args()


# Replaying


def draw_orders(n_table: int, n_orders: int, trials: int) -> list[NDArray[np.int64]]:
    """Return the rows of the table that each order replays, in turn."""
    return [
        np.random.default_rng([ORDERS, order]).permutation(n_table)[:trials]
        for order in range(n_orders)
    ]


def replay(table: Table, orders: Sequence[NDArray[np.int64]]) -> Outcomes:
    """Replay every order with every pruner."""
    return {
        name: [
            compare(table.curves[rows], replay_order(spec, table.curves[rows], str(number)))
            for number, rows in enumerate(orders)
        ]
        for name, spec in PRUNERS.items()
    }


def replay_order(spec: PrunerSpec, curves: Array, name: str) -> NDArray[np.int64]:
    """Replay curves one after another and return the epochs that each ran.

    Args:
        spec: the `[pruner]` table.
        curves: of the trials in turn, (trials, epochs).
        name: of the study, by which Hyperband deals trials to its brackets.
    """
    study = optuna.create_study(
        study_name=name,
        direction="maximize",
        sampler=RandomSampler(seed=0),
        pruner=build_pruner(spec, curves.shape[1]),
    )
    return np.array([train(study, curve) for curve in curves.tolist()])


def train(study: optuna.Study, curve: Sequence[float]) -> int:
    """Report a curve epoch by epoch as a worker does, end the trial, and return its epochs."""
    trial = study.ask()
    for epoch, value in enumerate(curve, start=1):
        trial.report(value, epoch)
        may_prune = trial.number > 0 and epoch < len(curve)
        if may_prune and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, curve[-1])
    return len(curve)


def compare(curves: Array, epochs: NDArray[np.int64]) -> Replayed:
    """Compare the trials that ran to their end with all of them."""
    final = curves[:, -1]
    pruned = epochs < curves.shape[1]
    top = final >= np.sort(final)[-math.ceil(TOP_SHARE * len(final))]
    return Replayed(
        lost=float(final.max() - final[~pruned].max()),
        top_pruned=float(pruned[top].mean()),
        pruned=float(pruned.mean()),
        saved=float(1 - epochs.sum() / curves.size),
    )


# Figures


def figures(outcomes: Sequence[Replayed]) -> Figures:
    """Summarise a pruner's outcomes."""
    lost = np.array([one.lost for one in outcomes])
    return Figures(
        best_pruned=float((lost > 0).mean()),
        top_pruned=float(np.mean([one.top_pruned for one in outcomes])),
        lost=float(lost.mean()),
        lost_90=float(np.quantile(lost, 0.9)),
        saved=float(np.mean([one.saved for one in outcomes])),
        pruned=float(np.mean([one.pruned for one in outcomes])),
    )


def pooled(outcomes: Mapping[str, Outcomes]) -> Outcomes:
    """Return the outcomes of all targets together; each has as many orders."""
    return {
        name: [one for of_target in outcomes.values() for one in of_target[name]]
        for name in PRUNERS
    }


def correlations(table: Table) -> list[float]:
    """Return Spearman's correlation of the accuracy after each epoch with the final one."""
    return [float(spearmanr(column, table.final)[0]) for column in table.curves.T]


def heading(where: Mapping[str, Any]) -> str:
    """Say what was measured, and on what."""
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    return (
        f"## {where['question']}\n\n"
        f"{where['orders']} orders of {where['trials']} trials a target; "
        f"{where['machine']}; {versions}; commit {where['commit']}.\n"
    )


def correlation_table(tables: Mapping[str, Table]) -> str:
    """Return how well each epoch ranks the trials, a row a target."""
    found = {target: correlations(table) for target, table in tables.items()}
    epochs = max(map(len, found.values()))
    rows = [
        [target, str(len(tables[target].curves)), *(f"{value:.2f}" for value in row)]
        + [""] * (epochs - len(row))
        for target, row in found.items()
    ]
    if len(found) > 1 and len({len(row) for row in found.values()}) == 1:
        mean = np.mean(list(found.values()), axis=0)
        rows.append(["mean", "", *(f"{value:.2f}" for value in mean)])
    lines = [
        "Rank correlation (Spearman) of the accuracy after each epoch with the final one.",
        "",
        *table_lines(["target", "trials", *map(str, range(1, epochs + 1))], rows),
        "",
    ]
    return "\n".join(lines)


def of_target(table: Table, orders: Sequence[NDArray[np.int64]], outcomes: Outcomes) -> str:
    """Return the report of one target."""
    best = {int(rows[np.argmax(table.final[rows])]) for rows in orders}
    lines = [
        f"### {table.target}: {len(orders)} orders of {len(orders[0])} of {len(table.curves)} "
        "trials",
        "",
        f"{len(best)} different trials are the best of an order; {table.n_val} validation images, "
        f"so one image is {100 / table.n_val:.1f} points.",
        "",
        *outcome_table(outcomes),
        "",
    ]
    return "\n".join(lines)


def of_all(outcomes: Mapping[str, Outcomes]) -> str:
    """Return the report of all targets together."""
    together = pooled(outcomes)
    title = f"### All targets ({', '.join(outcomes)}): {len(together['none'])} orders"
    return "\n".join([title, "", *outcome_table(together), ""])


def outcome_table(outcomes: Outcomes) -> list[str]:
    """Return a row a pruner."""
    head = ["pruner, warmup_fraction", "best pruned", "top 10 % pruned", "points lost, mean"]
    head += ["90 % quantile", "epochs saved", "trials pruned"]
    return table_lines(head, [_row(name, figures(of_one)) for name, of_one in outcomes.items()])


def _row(name: str, found: Figures) -> list[str]:
    return [
        name,
        f"{100 * found.best_pruned:.0f} %",
        f"{100 * found.top_pruned:.1f} %",
        f"{100 * found.lost:.2f}",
        f"{100 * found.lost_90:.1f}",
        f"{100 * found.saved:.0f} %",
        f"{100 * found.pruned:.0f} %",
    ]


def document(tables: Mapping[str, Table], outcomes: Mapping[str, Outcomes]) -> dict[str, Any]:
    """Return the figures for the JSON file."""
    return {
        "pruners": {name: spec.model_dump() for name, spec in PRUNERS.items()},
        "targets": {
            target: {
                "fine_tunes": len(table.curves),
                "rank_correlation": rounded(correlations(table), 4),
                "figures": _compact(outcomes[target]),
            }
            for target, table in tables.items()
        },
        "all_targets": _compact(pooled(outcomes)),
    }


def _compact(outcomes: Outcomes) -> dict[str, dict[str, float]]:
    return {
        name: {key: round(value, 4) for key, value in asdict(figures(of_one)).items()}
        for name, of_one in outcomes.items()
    }


if __name__ == "__main__":
    main()
