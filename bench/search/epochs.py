"""Trains good configurations of the tables for other numbers of epochs: what does longer bring?

    python bench/search/epochs.py [TARGET ...] [--epochs 10 20 40] [--seed 1] [--batch-norm running]

Takes the first, fourth, seventh and tenth of a table's configurations by the mean accuracy of their
last three epochs, and trains each anew with another seed of the recipe, so that what was lucky in
the table counts for nothing. A line of JSON a training goes to `results/epochs.jsonl`; what is
there is not trained again. Prints the mean gain over the first number of epochs, paired.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import torch
from table import HERE, TARGETS, write_digits

from tlsearch.backbones import load_backbone
from tlsearch.data import load_catalog, load_training_data
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.records import Hyperparameters
from tlsearch.spec import load_spec

RESULTS = HERE / "results" / "epochs.jsonl"
RANKS = slice(0, 10, 3)
CPU = torch.device("cpu")

Row = dict[str, Any]


def main() -> None:
    """Train what is missing, and print the gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--epochs", nargs="+", type=int, default=[10, 20, 40])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-norm", default="recalibrated", help="recipe.batch_norm")
    args = parser.parse_args()
    torch.set_num_threads(1)
    write_digits(HERE / "data" / "digits.npz")
    for target in args.targets or TARGETS:
        train(target, args.epochs, args.seed, args.batch_norm)
    rows = read()
    for target in args.targets or TARGETS:
        for epochs in args.epochs[1:]:
            print(f"{target:<12} {args.epochs[0]} to {epochs}: {gain(rows, target, args, epochs)}")


def train(target: str, epochs: Sequence[int], seed: int, batch_norm: str) -> None:
    """Train the configurations of a target for each number of epochs, unless that was done."""
    spec = load_spec(HERE / f"{target}.toml")
    recipe = spec.recipe
    data = FineTuneData.on_device(
        load_training_data(load_catalog(spec.data), recipe.image_size, recipe.eval_crop), CPU
    )
    backbone = load_backbone(spec.backbone.model, spec.backbone.weights, recipe.image_size)
    done = {(row["target"], row["number"], row["epochs"], *_kind(row)) for row in read()}
    for trial in good_trials(target):
        for n in epochs:
            if (target, trial["number"], n, seed, batch_norm) in done:
                continue
            changes = {"epochs": n, "seed": seed, "batch_norm": batch_norm}
            longer = recipe.model_copy(update=changes)
            params = Hyperparameters.from_dict(trial["params"])
            found = fine_tune(backbone, data, longer, params, CPU)
            curve = [report.val_accuracy for report in found.curve]
            row = {"target": target, "number": trial["number"], **changes}
            with RESULTS.open("a") as file:
                file.write(json.dumps(row | {"params": trial["params"], "curve": curve}) + "\n")


def good_trials(target: str) -> list[Row]:
    """Return some of the best complete trials of a table."""
    lines = (HERE / "results" / f"table-{target}.jsonl").read_text().splitlines()[1:]
    complete = [trial for trial in map(json.loads, lines) if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: -fmean(trial["curve"][-3:]))[RANKS]


def read() -> list[Row]:
    """Return the trainings so far."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def gain(rows: Iterable[Row], target: str, args: argparse.Namespace, epochs: int) -> str:
    """Return the mean difference to the first number of epochs, of the same configurations."""
    final = {
        (row["number"], row["epochs"]): 100 * row["curve"][-1]
        for row in rows
        if (row["target"], *_kind(row)) == (target, args.seed, args.batch_norm)
    }
    first = args.epochs[0]
    pairs = [
        (final[number, first], final[number, epochs])
        for number, n in final
        if n == epochs and (number, first) in final
    ]
    if len(pairs) < 2:
        return "too few trainings"
    gains = [after - before for before, after in pairs]
    before, after = (fmean(column) for column in zip(*pairs, strict=True))
    error = stdev(gains) / sqrt(len(gains))
    return (
        f"{before:.1f} to {after:.1f}, gain {fmean(gains):+.1f} +- {error:.1f} (n = {len(gains)})"
    )


def _kind(row: Row) -> tuple[int, str]:
    return row["seed"], row["batch_norm"]


if __name__ == "__main__":
    main()
