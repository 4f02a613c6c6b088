"""How many clean images do batch-norm statistics need in the epochs before the last one?

    python bench/search/recalibration.py [TARGET ...] [--trials 12]

Trains the first configurations of each table (`table.py`) again and evaluates every epoch under the
statistics of all training images, as a trial does, and of the first 64, 128 and 256 of the same
sample. A line of JSON a training goes to `results/recalibration.jsonl`; what is there is not
trained again. Prints how far the accuracies are apart, beside what chance does to an accuracy of
so many validation images, and the rank correlation of each epoch with the last one. Test images
are not read.
"""

import argparse
import json
from collections.abc import Sequence
from math import sqrt
from statistics import fmean
from typing import Any

import numpy as np
import torch
from recipe import CPU, probe_of
from scipy.stats import spearmanr
from surrogate import RESULTS
from table import HERE, TARGETS, write_digits

from tlsearch.backbones import InputStatistics, load_backbone
from tlsearch.data import (
    DeviceImages,
    evaluation_batches,
    load_catalog,
    load_training_data,
)
from tlsearch.errors import TrialFailure
from tlsearch.finetune import FineTuneData, batch_norm, fine_tune, validation
from tlsearch.finetune.evaluate import Evaluation, evaluate
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec, load_spec

LINES = RESULTS / "recalibration.jsonl"
FEWER = (64, 128, 256)

Row = dict[str, Any]


class Curves:
    """Validation accuracies of a training under statistics of fewer images, by their number.

    It stands in for `evaluate` in the validation of each epoch, which puts the statistics back.
    """

    def __init__(self, train: DeviceImages) -> None:
        self._train = train
        self.by_images: dict[str, list[float]] = {f"{n}": [] for n in (*FEWER, len(train))}

    def __call__(
        self,
        model: torch.nn.Module,
        images: DeviceImages,
        recipe: RecipeSpec,
        statistics: InputStatistics,
    ) -> Evaluation:
        """Evaluate under the statistics there are, and then under those of fewer images."""
        as_it_is = evaluate(model, images, recipe, statistics)
        if recipe.batch_norm != "recalibrated":  # trainings from the probe freeze them
            return as_it_is
        self.by_images[f"{len(self._train)}"].append(as_it_is.accuracy)
        with batch_norm.restored(batch_norm.statistics_of(model)):
            for n in FEWER:
                self._recalibrate(model, recipe, statistics, n)
                fewer = evaluate(model, images, recipe, statistics)
                self.by_images[f"{n}"].append(fewer.accuracy)
        return as_it_is

    def _recalibrate(
        self, model: torch.nn.Module, recipe: RecipeSpec, statistics: InputStatistics, n: int
    ) -> None:
        sample = torch.cat(batch_norm.clean_sample(len(self._train), recipe.seed))[:n]
        orders = sample.tensor_split(-(-n // 200))
        batches = evaluation_batches(
            self._train, recipe.for_evaluation(), statistics.mean, statistics.std, orders
        )
        batch_norm.recalibrate(model, (images for images, _ in batches))


def main() -> None:
    """Train what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--trials", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for target in args.targets or TARGETS:
        train(target, args.trials)
    for target in args.targets or TARGETS:
        print(markdown(target))


def train(target: str, n_trials: int) -> None:
    """Train the first configurations of a target's table, unless that was done."""
    write_digits(HERE / "data" / "digits.npz")
    spec = load_spec(HERE / f"{target}.toml")
    catalog = load_catalog(spec.data)
    recipe = spec.recipe
    images = load_training_data(catalog, recipe.image_size, recipe.eval_crop, recipe.resize)
    data = FineTuneData.on_device(images, CPU)
    backbone = load_backbone(spec.backbone.model, spec.backbone.weights, recipe.image_size)
    head, _ = probe_of(spec, backbone, catalog.fingerprint, images)
    table = (RESULTS / f"table-{target}.jsonl").read_text().splitlines()[1:]
    for row in map(json.loads, table[:n_trials]):
        key = {"target": target, "trial": row["number"]}
        if any(key.items() <= found.items() for found in read()):
            continue
        curves = Curves(data.clean or data.train)
        validation.evaluate = curves  # type: ignore[attr-defined]
        try:
            params = Hyperparameters(**row["params"])
            fine_tune(backbone, data, recipe, params, CPU, head=head, keep_model=False)
        except TrialFailure:
            continue  # it diverged in the table, too
        finally:
            validation.evaluate = evaluate  # type: ignore[attr-defined]
        if not curves.by_images[f"{FEWER[0]}"]:
            continue  # from the probe
        with LINES.open("a") as file:
            line = key | {"n_val": len(data.val), "curves": curves.by_images}
            file.write(json.dumps(line) + "\n")


def read() -> list[Row]:
    """Return the trainings that were done."""
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def markdown(target: str) -> str:
    """Return how statistics of fewer images compare, a row for each number of them."""
    rows = [row for row in read() if row["target"] == target]
    if not rows:
        return f"{target}: no trainings"
    numbers = list(rows[0]["curves"])
    whole = numbers[-1]
    curves = {n: np.array([row["curves"][n] for row in rows]) for n in numbers}
    last = curves[whole][:, -1]
    error = fmean(sqrt(p * (1 - p) / rows[0]["n_val"]) for p in last)
    lines = [
        f"{target}: {len(rows)} trainings of {curves[whole].shape[1]} epochs; the standard error "
        f"of an accuracy by the {rows[0]['n_val']} validation images is {100 * error:.1f} points",
        "",
        "| images | mean difference, points | s.d. | rank correlation with the last epoch, after "
        "a fifth, two, three and four fifths |",
        "|---|---|---|---|",
    ]
    for n in numbers:
        away = 100 * (curves[n] - curves[whole])[:, :-1]
        ranks = " ".join(f"{each:.2f}" for each in _correlations(curves[n], last))
        lines.append(f"| {n} | {away.mean():+.2f} | {away.std():.2f} | {ranks} |")
    return "\n".join([*lines, ""])


def _correlations(curves: np.ndarray[Any, Any], last: np.ndarray[Any, Any]) -> Sequence[float]:
    epochs = curves.shape[1]
    marks = [max(0, round(share * epochs / 5) - 1) for share in (1, 2, 3, 4)]
    return [float(spearmanr(curves[:, mark], last).statistic) for mark in marks]


if __name__ == "__main__":
    main()
