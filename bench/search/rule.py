"""Does the paper's rule hold on these targets, knob by knob?

    OMP_NUM_THREADS=1 python bench/search/rule.py [TARGET ...] [--json FILE]

For each target of the table (`table.py`): the measures (`measures.py`), the best tenth of the
random configurations against all of them, and what the surrogate (`surrogate.py`) expects if, in
each of the best tenth, one knob is set to the value of Table 7's left column (weights fit) or of
its right one (they do not), all else as it was. The rule says that the first is better where fit
is negative; it says nothing where fit is within its standard error of 0, and differences under
0.3 points count as none. Below it stand the means of the table itself, by rate and `reinit_layers`.
Prints Markdown. Nothing is asserted.
"""

import argparse
import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from replay import NONE, commit, measures_of, prior_of, table_lines
from scipy.stats import spearmanr
from surrogate import Surrogate, Table, fit_surrogate, read_table, targets_with_table

from tlsearch.prior import build_prior
from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES, Hyperparameters, Measures, Prior
from tlsearch.spec import PriorSpec, load_spec

HERE = Path(__file__).resolve().parent
TENTH = 0.1
BANDS = 4  # of learning rates
LONG = 10_000  # epochs: so long that the low rate of the left column is the paper's


@dataclass(frozen=True)
class Knob:
    """What a target shows about one hyperparameter.

    Attributes:
        name: of the hyperparameter.
        rank: Spearman's correlation with the final accuracy over all trials.
        p: its p-value.
        everywhere, best: mean over all trials and over the best tenth (log10 for rates).
        suited, unsuited: the two columns' values.
        gain: expected accuracy with the left column's value minus that with the right one's.
        error: standard error of that mean over the best tenth; the surrogate's own error is not
            in it.
    """

    name: str
    rank: float
    p: float
    everywhere: float
    best: float
    suited: float
    unsuited: float
    gain: float
    error: float


def main() -> None:
    """Report every target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all with a table")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for target in options.targets or targets_with_table():
        surrogate = fit_surrogate(read_table(target))
        measures = Measures.from_dict(measures_of(target))
        knobs = [knob_of(name, surrogate, *columns_of(target)) for name in HYPERPARAMETER_NAMES]
        print(markdown(target, surrogate, measures, knobs), flush=True)
        found[target] = {knob.name: vars_of(knob) for knob in knobs}
    if options.json:
        options.json.write_text(json.dumps({"commit": commit(), "targets": found}, indent=1) + "\n")


def columns_of(target: str) -> tuple[Prior, Prior]:
    """Return the priors of weights that surely fit and surely do not.

    They are those of training as long as the paper's, so that their rates are a decade apart.
    """
    measures = Measures.from_dict(measures_of(target))
    table = read_table(target)
    recipe = load_spec(HERE / f"{target}.toml").recipe.model_copy(update={"epochs": LONG})
    priors = []
    for random_init, fixed in ((0.0, 1.0), (1.0, 0.0)):
        sure = replace(measures, random_init=random_init, fixed_features=fixed, n_val=10**6)
        priors.append(
            build_prior(
                sure,
                table.space.n_body_layers,
                table.space.ranges,
                PriorSpec(),
                recipe,
                table.n_train,
            )
        )
    return priors[0], priors[1]


def knob_of(name: str, surrogate: Surrogate, suited: Prior, unsuited: Prior) -> Knob:
    """Return what a target shows about a hyperparameter."""
    table = surrogate.table
    values = np.array([_scaled(name, h.as_dict()[name]) for h in table.hyperparameters])
    order = np.argsort(-table.final, kind="stable")
    best = order[: math.ceil(TENTH * len(order))]
    rank = spearmanr(values, table.final)
    left, right = (getattr(prior.mode, name) for prior in (suited, unsuited))
    chosen = [table.hyperparameters[i] for i in best]
    gains = _expected(surrogate, chosen, name, left) - _expected(surrogate, chosen, name, right)
    return Knob(
        name,
        float(rank.statistic),
        float(rank.pvalue),
        float(values.mean()),
        float(values[best].mean()),
        float(left),
        float(right),
        float(gains.mean()),
        float(gains.std(ddof=1) / math.sqrt(len(gains))),
    )


def _expected(
    surrogate: Surrogate, chosen: list[Hyperparameters], name: str, value: float
) -> np.ndarray[Any, Any]:
    changed = [Hyperparameters.from_dict(one.as_dict() | {name: value}) for one in chosen]
    return surrogate.mean_curves(changed)[:, -1]


def _scaled(name: str, value: float) -> float:
    return value if name in DEPTHS else math.log10(max(value, 1e-9))


def markdown(target: str, surrogate: Surrogate, measures: Measures, knobs: list[Knob]) -> str:
    """Return the report of one target."""
    fit, error = measures.fit or 0.0, measures.fit_error or 0.0
    prior = prior_of(target, inverted=False)
    rows = []
    for knob in knobs:
        told = abs(fit) > error and abs(knob.gain) > 2 * knob.error and abs(knob.gain) >= NONE
        agrees = "yes" if told else "-"
        if agrees == "yes" and (knob.gain > 0) != (fit < 0):
            agrees = "no"
        rows.append(
            [
                knob.name,
                f"{knob.rank:+.2f} (p {knob.p:.2g})",
                _shown(knob.name, knob.everywhere),
                _shown(knob.name, knob.best),
                f"{knob.suited:.3g}",
                f"{knob.unsuited:.3g}",
                f"{100 * knob.gain:+.2f} +- {100 * knob.error:.2f}",
                agrees,
            ]
        )
    head = ["knob", "rank correlation", "mean, all", "mean, best tenth", "left", "right"]
    head += ["left minus right, points", "agrees"]
    side = "fit" if fit < 0 else "do not fit"
    side = side if abs(fit) > error else "cannot be told to fit or not"
    by_depth = landscape(surrogate.table)
    return "\n".join(
        [
            f"### {target}",
            "",
            f"Fixed features {100 * measures.fixed_features:.1f}, random initialisation "
            f"{100 * (measures.random_init or 0):.1f}: difference {100 * fit:+.1f} +- "
            f"{100 * error:.1f}, so the weights {side} (weight of the right column "
            f"{prior.unfit:.2f}). Fisher {measures.fisher:.2f}, {measures.fisher_ratio:.2f} times "
            f"its floor. Range test {measures.lr_range:.3g}. {len(surrogate.table.final)} trials.",
            "",
            *table_lines(head, rows),
            "",
            "Mean final accuracy of the random configurations, per cent (number of them):",
            "",
            *by_depth,
            "",
        ]
    )


def landscape(table: Table) -> list[str]:
    """Return the mean accuracy by learning rate and `reinit_layers`, as the table has it."""
    depths = sorted({one.reinit_layers for one in table.hyperparameters})
    ends = np.geomspace(*_range(table, "high_lr"), BANDS + 1)
    rows = []
    for low, high in itertools.pairwise(ends):
        cells = []
        for depth in depths:
            found = [
                float(accuracy)
                for one, accuracy in zip(table.hyperparameters, table.final, strict=True)
                if one.reinit_layers == depth and low <= one.high_lr <= high
            ]
            cells.append(f"{100 * np.mean(found):.1f} ({len(found)})" if found else "-")
        rows.append([f"{low:.2g} to {high:.2g}", *cells])
    return table_lines(["high_lr", *(f"reinit_layers {depth}" for depth in depths)], rows)


def _range(table: Table, name: str) -> tuple[float, float]:
    found = table.space.ranges[name]
    return found.low, found.high


def _shown(name: str, value: float) -> str:
    return f"{value:.1f}" if name in DEPTHS else f"{10**value:.2g}"


def vars_of(knob: Knob) -> dict[str, Any]:
    """Return a knob as plain values."""
    return {name: getattr(knob, name) for name in Knob.__dataclass_fields__}


if __name__ == "__main__":
    main()
