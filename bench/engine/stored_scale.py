"""Does accuracy gain where training images are stored larger than validation needs them?

    python -m bench.engine.stored_scale FOLDER [--size 32] [--seeds 8] [--epochs 10]
        [--scales 1.0 1.3 1.7]

A random crop of 0.35 of the area is smaller than what the network sees and is blown up, unless
the image that it is cut from is stored larger. Validation, and the images that recalibrate batch
norm, stay as they are. Prints validation accuracies by seed, and paired differences.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch

from tlsearch.backbones import load_backbone
from tlsearch.data import DeviceImages, load_catalog, load_training_data
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.records import Hyperparameters
from tlsearch.spec import DataSpec, RecipeSpec

from .trial import MODEL, WEIGHTS

KNOBS = Hyperparameters(
    reinit_layers=1,
    high_lr=0.02,
    low_lr_ratio=0.3,
    low_layers=9,
    alpha=0.01,
    beta=1e-4,
    l2sp_layers=9,
)
CPU = torch.device("cpu")


def main() -> None:
    """Read the command line, train, print."""
    given = _arguments()
    data = DataSpec(path=f"{given.folder}", train_per_class=40, val_fraction=0.3, splits="ranked")
    plain = RecipeSpec(image_size=given.size, epochs=given.epochs)
    backbone = load_backbone(MODEL, WEIGHTS, given.size)
    sets = _sets(data, plain, given.scales)
    found: dict[float, list[float]] = {scale: [] for scale in sets}
    for seed in range(given.seeds):
        recipe = plain.model_copy(update={"seed": seed})
        for scale in list(sets)[:: 1 if seed % 2 == 0 else -1]:
            result = fine_tune(backbone, sets[scale], recipe, KNOBS, CPU)
            found[scale].append(100 * result.curve[-1].val_accuracy)
        print(
            seed, *(f"{scale:g}: {values[-1]:.2f}" for scale, values in found.items()), flush=True
        )
    first = next(iter(found.values()))
    for scale, values in found.items():
        print(f"{scale:g}: {_spread(values)}; minus the first: {_paired(values, first)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="one folder a class")
    parser.add_argument("--size", type=int, default=32, help="side of the images, pixels")
    parser.add_argument("--seeds", type=int, default=8, help="at least two")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 1.3, 1.7])
    return parser.parse_args()


def _sets(data: DataSpec, recipe: RecipeSpec, scales: Sequence[float]) -> dict[float, FineTuneData]:
    catalog = load_catalog(data)
    small = load_training_data(catalog, recipe.image_size, recipe.eval_crop)
    clean, val = (DeviceImages(images, CPU) for images in (small.train, small.val))
    print(f"{len(clean)} training and {len(val)} validation images", flush=True)
    found = {}
    for scale in scales:
        large = load_training_data(catalog, round(scale * recipe.image_size), recipe.eval_crop)
        train = DeviceImages(large.train, CPU)
        found[scale] = FineTuneData(train, val, len(catalog.class_names), clean)
    return found


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.2f} +- {statistics.stdev(values):.2f}"


def _paired(values: Sequence[float], first: Sequence[float]) -> str:
    gains = [value - other for value, other in zip(values, first, strict=True)]
    error = statistics.stdev(gains) / len(gains) ** 0.5
    return f"{statistics.mean(gains):+.2f} (standard error {error:.2f}, n = {len(gains)})"


if __name__ == "__main__":
    main()
