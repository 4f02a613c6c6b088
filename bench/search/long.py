"""What do L2-SP, the range test's rate and a start from the probe do in 1,000 steps?

    python bench/search/long.py [--seeds 5] [--processes 2]     # 13 minutes on two quiet cores

The table of long trainings (`emoji-long.toml`) is of random configurations, and the two kinds of
surrogate fitted to it disagree about the prior's L2-SP. So the trials that a search of that target
queues are trained here, with L2-SP and without, at the range test's rate and at three times it, all
else as it is. A line of JSON a training goes to `results/long.jsonl`; what is there is not trained
again. Prints the mean and the spread of the validation accuracy over the seeds, and the paired
differences that answer the question. Test images are not read.
"""

import argparse
import json
from dataclasses import replace
from functools import cache
from multiprocessing import Pool
from statistics import fmean, stdev
from typing import Any

import torch
from recipe import CPU, probe_of
from replay import prior_of
from surrogate import RESULTS, read_table
from table import HERE

from tlsearch.backbones import Backbone, LinearHead, load_backbone
from tlsearch.data import load_catalog, load_training_data
from tlsearch.errors import TrialFailure
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec, load_spec

TARGET = "emoji-long"
LINES = RESULTS / "long.jsonl"
FASTER = 3.0
# The second of each pair minus the first.
QUESTIONS = {
    "L2-SP and L2 of the prior, from the probe": ("probe", "probe, L2-SP"),
    "the same at three times the rate": ("probe, rate x 3", "probe, rate x 3, L2-SP"),
    "the same, two random layers": ("two layers", "two layers, L2-SP"),
    "three times the rate, from the probe": ("probe", "probe, rate x 3"),
    "three times the rate, two random layers": ("two layers", "two layers, rate x 3"),
    "the probe instead of two random layers": ("two layers", "probe"),
}

Row = dict[str, Any]


def arms() -> dict[str, Hyperparameters]:
    """Return the configurations: plain fine-tuning but for what their names say."""
    prior = prior_of(TARGET, False)
    plain = replace(read_table(TARGET).space.plain_default(), high_lr=prior.lr_scale)
    decay = {name: getattr(prior.mode, name) for name in ("alpha", "beta", "l2sp_layers")}
    found: dict[str, Hyperparameters] = {}
    for start, depth in (("probe", 0), ("two layers", 2)):
        one = replace(plain, reinit_layers=depth)
        faster = replace(one, high_lr=FASTER * one.high_lr)
        found |= {start: one, f"{start}, L2-SP": replace(one, **decay)}
        found[f"{start}, rate x 3"] = faster
        if depth == 0:
            found[f"{start}, rate x 3, L2-SP"] = replace(faster, **decay)
    return found


def main() -> None:
    """Train what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    done = {(row["arm"], row["seed"]) for row in read()}
    units = [(arm, seed) for seed in range(args.seeds) for arm in arms()]
    with Pool(args.processes) as pool:
        missing = [unit for unit in units if unit not in done]
        for row in pool.imap_unordered(train, missing):
            with LINES.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print(markdown(args.seeds))


def train(unit: tuple[str, int]) -> Row:
    """Train an arm under a seed."""
    torch.set_num_threads(1)
    arm, seed = unit
    backbone, data, recipe, head = _materials()
    recipe = recipe.model_copy(update={"seed": seed})
    params = arms()[arm]
    try:
        result = fine_tune(backbone, data, recipe, params, CPU, head=head, keep_model=False)
        curve = [epoch.val_accuracy for epoch in result.curve]
    except TrialFailure:
        curve = []
    return {"arm": arm, "seed": seed, "params": params.as_dict(), "curve": curve}


@cache
def _materials() -> tuple[Backbone, FineTuneData, RecipeSpec, LinearHead]:
    spec = load_spec(HERE / f"{TARGET}.toml")
    catalog, recipe = load_catalog(spec.data), spec.recipe
    images = load_training_data(catalog, recipe.image_size, recipe.eval_crop, recipe.resize)
    backbone = load_backbone(spec.backbone.model, spec.backbone.weights, recipe.image_size)
    head, _ = probe_of(spec, backbone, catalog.fingerprint, images)
    return backbone, FineTuneData.on_device(images, CPU), recipe, head


def read() -> list[Row]:
    """Return the trainings that were done."""
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def markdown(n_seeds: int) -> str:
    """Return the arms' accuracies, and what answers the questions."""
    by_arm: dict[str, dict[int, float]] = {}
    for row in read():
        if row["seed"] < n_seeds and row["curve"]:
            by_arm.setdefault(row["arm"], {})[row["seed"]] = 100 * row["curve"][-1]
    lines = ["| arm | seeds | validation accuracy |", "|---|---|---|"]
    for arm, values in by_arm.items():
        spread = f" +- {stdev(values.values()):.1f}" if len(values) > 1 else ""
        lines.append(f"| {arm} | {len(values)} | {fmean(values.values()):.1f}{spread} |")
    lines += ["", "| question | points +- standard error |", "|---|---|"]
    for question, (first, second) in QUESTIONS.items():
        shared = by_arm.get(first, {}).keys() & by_arm.get(second, {}).keys()
        away = [by_arm[second][seed] - by_arm[first][seed] for seed in sorted(shared)]
        if len(away) > 1:
            error = stdev(away) / len(away) ** 0.5
            lines.append(f"| {question} | {fmean(away):+.1f} +- {error:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
