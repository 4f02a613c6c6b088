"""Runs in the environment of arm_fastai.py: trains as fastai's documentation does.

`vision_learner` with timm's architecture and weights, `aug_transforms`, and `fine_tune`, whose
first epoch trains the new head alone. Once with the default rate, once with the one that
`lr_find` suggests, and once with five times the default, because a few hundred steps are short for
the other two; what is best on validation answers.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

warnings.filterwarnings("ignore")

from fastai.vision.all import (  # noqa: E402
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    accuracy,
    aug_transforms,
    set_seed,
    vision_learner,
)

FREEZE_EPOCHS = 1
RATES = (2e-3, 1e-2, None)  # None = what `lr_find` suggests


def main() -> None:
    """Read the task, train, and write probabilities."""
    task = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    images = np.load(task["images"])
    started = time.perf_counter()
    results = [train(task, images, rate) for rate in RATES]
    seconds = time.perf_counter() - started
    best = max(results, key=lambda result: result["seen"])
    learner, data = best["learner"], best["data"]
    n_seen, n_test = len(images["x_train"]) + len(images["x_val"]), len(images["x_test"])
    test = data.test_dl(list(range(n_seen, n_seen + n_test)))
    found, _ = learner.get_preds(dl=test)
    np.savez(task["answers"], val=best["val"], test=found.numpy())
    notes = {"val_by_rate": {f"{r['rate']:.2g}": r["seen"] for r in results}}
    print(json.dumps({"train_seconds": seconds, **notes}))


def train(task: dict[str, Any], images: Any, rate: float | None) -> dict[str, Any]:
    """Train once; without a rate with the one that `lr_find` suggests."""
    set_seed(task["seed"], reproducible=True)
    data = loaders(task, images)
    learner = vision_learner(
        data,
        task["model"],
        metrics=accuracy,
        path=Path(task["images"]).parent,
        n_out=task["n_classes"],
        pretrained_cfg_overlay={"file": task["weights"]},
    )
    check_pretrained(learner.model, task["weights"])
    with learner.no_bar(), learner.no_logging():
        rate = rate or learner.lr_find(show_plot=False).valley
        learner.fine_tune(task["epochs"] - FREEZE_EPOCHS, rate, freeze_epochs=FREEZE_EPOCHS)
        val, labels = learner.get_preds()
    seen = float((val.argmax(1) == labels).float().mean())
    return {"learner": learner, "data": data, "rate": rate, "seen": seen, "val": val.numpy()}


def check_pretrained(model: torch.nn.Module, weights: str) -> None:
    """Check that the body has the pretrained weights.

    Raises:
        RuntimeError: it has not.
    """
    body: torch.nn.Module = model.get_submodule("0.model")
    state = body.state_dict()
    for name, tensor in safetensors.torch.load_file(weights).items():
        if not torch.equal(state[name], tensor):
            raise RuntimeError(f"{name} is not pretrained")


def loaders(task: dict[str, Any], images: Any) -> Any:
    """Return fastai's loaders of train and validation; items are indices, test comes last."""
    pixels = [*images["x_train"], *images["x_val"], *images["x_test"]]
    labels = [*images["y_train"].tolist(), *images["y_val"].tolist()]
    items = list(range(len(labels)))
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=list(range(task["n_classes"])))),
        get_x=lambda item: pixels[item],
        get_y=lambda item: labels[item],
        splitter=IndexSplitter(range(len(images["x_train"]), len(items))),
        batch_tfms=aug_transforms(
            size=task["size"], min_scale=task["min_scale"], do_flip=task["flip"]
        ),
    )
    return block.dataloaders(items, bs=task["batch_size"], num_workers=0)


if __name__ == "__main__":
    main()
