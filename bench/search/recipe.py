"""Which pieces of the recipe pay? Two configurations of each target, trained with and without each.

    python bench/search/recipe.py [TARGET ...] [--arms ARM ...] [--seeds 3] [--epochs 20]

The configurations are plain fine-tuning with two random layers at a rate of .05 (AdamW: .001), and
the same from the linear probe (`reinit_layers` 0). Each arm changes one key of `[recipe]`. A line
of JSON a training goes to `results/recipe.jsonl`; what is there is not trained again. Prints
validation accuracies with the mean difference to `plain`, paired by seed, and what the mean of a
training and the linear probe adds. Test images are not read.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from table import HERE, TARGETS, write_digits

from tlsearch.backbones import Backbone, LinearHead, load_backbone
from tlsearch.data import TrainingData, load_catalog, load_training_data
from tlsearch.errors import TrialFailure
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.finetune.mean import mean_of
from tlsearch.measures import features_of_splits, linear_probe
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec, StudySpec, load_spec

RESULTS = HERE / "results" / "recipe.jsonl"
CPU = torch.device("cpu")
PLAIN = Hyperparameters(2, 0.05, 1.0, 0, 0.0, 1e-4, 0)
ADAMW = replace(PLAIN, high_lr=1e-3, beta=0.05)
STARTS: Mapping[str, int] = {"random": 2, "probe": 0}  # by name: reinit_layers

ARMS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "running": {"batch_norm": "running"},
    "ema 1": {"ema_epochs": 1.0},
    "ema 3": {"ema_epochs": 3.0},
    "adamw": {"optimizer": "adamw"},
    "mixup .2": {"mixup": 0.2},
    "cutmix 1": {"cutmix": 1.0},
    "trivial": {"augment": "trivial"},
    "rand": {"augment": "rand"},
    "erasing .25": {"erasing": 0.25},
    "dropout .2": {"dropout": 0.2},
    "drop_path .1": {"drop_path": 0.1},
    "smoothing 0": {"label_smoothing": 0.0},
    "clip 1": {"clip_norm": 1.0},
}

Row = dict[str, Any]


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    targets = args.targets or TARGETS
    for target in targets:
        train(target, args.arms, args.seeds, args.epochs)
    print(markdown(targets, args.arms, args.epochs))


def train(target: str, arms: Sequence[str], n_seeds: int, epochs: int) -> None:
    """Train all arms of a target from both starts, seed by seed, unless that was done."""
    write_digits(HERE / "data" / "digits.npz")
    spec = load_spec(HERE / f"{target}.toml")
    recipe = spec.recipe.model_copy(update={"epochs": epochs})
    catalog = load_catalog(spec.data)
    images = load_training_data(catalog, recipe.image_size, recipe.eval_crop)
    data = FineTuneData.on_device(images, CPU)
    backbone = load_backbone(spec.backbone.model, spec.backbone.weights, recipe.image_size)
    head, fixed = probe_of(spec, backbone, catalog.fingerprint, images)
    for seed in range(n_seeds):
        for arm in arms:
            for start in STARTS:
                key = {"target": target, "arm": arm, "start": start, "seed": seed, "epochs": epochs}
                if not any(key.items() <= row.items() for row in read()):
                    found = _accuracies(backbone, data, recipe, key, head, fixed)
                    with RESULTS.open("a") as file:
                        file.write(json.dumps(key | found) + "\n")


def probe_of(
    spec: StudySpec, backbone: Backbone, fingerprint: str, images: TrainingData
) -> tuple[LinearHead, np.ndarray[Any, Any]]:
    """Return the linear probe, and its probabilities for the validation images."""
    train, val = features_of_splits(
        backbone, lambda: images, fingerprint, spec.recipe, CPU, spec.name
    )
    probe = linear_probe(train, len(images.class_names))
    head = LinearHead(torch.from_numpy(probe.weight), torch.from_numpy(probe.bias), fingerprint)
    logits = torch.from_numpy(probe.logits(val.values))
    return head, logits.softmax(dim=1).numpy()


def _accuracies(
    backbone: Backbone,
    data: FineTuneData,
    recipe: RecipeSpec,
    key: Row,
    head: LinearHead,
    fixed: np.ndarray[Any, Any],
) -> Row:
    """Return the accuracies of one training: alone, of the probe, and of the means of both."""
    changed = recipe.model_copy(update={"seed": key["seed"], **ARMS[key["arm"]]})
    base = ADAMW if changed.optimizer == "adamw" else PLAIN
    params = replace(base, reinit_layers=STARTS[key["start"]])
    labels = data.val.labels.numpy()
    floor = float((fixed.argmax(axis=1) == labels).mean())
    try:
        found = fine_tune(backbone, data, changed, params, CPU, head=head)
    except TrialFailure as failure:
        return {"failed": str(failure), "probe": floor}
    assert found.val_probabilities is not None
    ours = found.val_probabilities
    means = {"mean": mean_of(ours, fixed), "arithmetic_mean": ours + fixed}
    right = {name: each.argmax(axis=1) == labels for name, each in means.items()}
    return {
        "val": found.val_accuracy,
        **{name: float(each.mean()) for name, each in right.items()},
        "probe": floor,
        "curve": [report.val_accuracy for report in found.curve],
    }


def read() -> list[Row]:
    """Return the trainings that were done."""
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def markdown(targets: Sequence[str], arms: Sequence[str], epochs: int) -> str:
    """Return a table: a row an arm, its accuracy and its difference to `plain` by target."""
    lines = [
        f"| {epochs} epochs | " + " | ".join(targets) + " |",
        "|---" * (len(targets) + 1) + "|",
    ]
    rows = [row for row in read() if row["epochs"] == epochs]
    for start in STARTS:
        for arm in arms:
            cells = [
                _cell([r for r in rows if r["target"] == t and r["start"] == start], arm)
                for t in targets
            ]
            lines.append(f"| {start}, {arm} | " + " | ".join(cells) + " |")
    for name, against in (("mean", "arithmetic_mean"), ("mean", "val"), ("mean", "probe")):
        cells = [_gain([r for r in rows if r["target"] == t], name, against) for t in targets]
        lines.append(f"| {name} minus {against} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _gain(rows: Sequence[Row], name: str, against: str) -> str:
    """Return the mean difference of two figures of the same trainings, in points."""
    gains = [100 * (row[name] - row[against]) for row in rows if "failed" not in row]
    if len(gains) < 2:
        return ""
    return f"{fmean(gains):+.1f} +- {stdev(gains) / sqrt(len(gains)):.1f} (n = {len(gains)})"


def _cell(rows: Sequence[Row], arm: str) -> str:
    by_seed = {row["seed"]: row for row in rows if row["arm"] == arm}
    plain = {row["seed"]: row for row in rows if row["arm"] == "plain"}
    if not by_seed:
        return ""
    if any("failed" in row for row in by_seed.values()):
        return "diverges"
    text = f"{100 * fmean(row['val'] for row in by_seed.values()):.1f}"
    both = [100 * (by_seed[s]["val"] - plain[s]["val"]) for s in by_seed.keys() & plain.keys()]
    if arm == "plain" or not both:
        return f"{text} (n = {len(by_seed)})"
    error = f" +- {stdev(both) / sqrt(len(both)):.1f}" if len(both) > 1 else ""
    return f"{text} ({fmean(both):+.1f}{error})"


if __name__ == "__main__":
    main()
