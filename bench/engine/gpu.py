"""What a GPU reaches: the step on made-up images, whole trainings, and trials an hour.

Weights are random, because none need to be fetched for speed. On the CPU the same code runs on a
small network, for a test.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.machine import commit, cpu_name
from tlsearch.finetune.cuda_recording import record
from tlsearch.finetune.pass_graph import VARIABLE, WARM_UP

from . import images
from .places import home
from .process import run
from .trial import BY_KERNEL, OURS, PLAIN_STEP, STEP_GRAPH

Line = dict[str, Any]
N_CLASSES = 10


class NoGPU(Exception):
    """There is no GPU; the message says so."""


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        networks: model and side of its images, pixels.
        device: where.
        step_seconds: of steps, at least, for a rate.
        train, val, epochs: of a whole training.
        batch_size: images of a step.
        beside: numbers of worker processes on the device.
        trials: of each process.
    """

    networks: tuple[tuple[str, int], ...] = (
        ("tf_efficientnet_lite0", 64),
        ("resnet50", 224),
        ("inception_v4", 299),
    )
    device: str = "cuda"
    step_seconds: float = 5.0
    train: int = 2000
    val: int = 400
    epochs: int = 3
    batch_size: int = 32
    beside: tuple[int, ...] = (1, 2, 4)
    trials: int = 4


SMALL = replace(Plan(), step_seconds=1.0, train=200, val=40, epochs=2, beside=(1, 2), trials=2)
ON_CPU = replace(
    SMALL,
    networks=(("tf_efficientnet_lite0", 32),),
    device="cpu",
    step_seconds=0.1,
    train=64,
    beside=(2,),
)


def measured(plan: Plan) -> Iterator[Line]:
    """Yield a line for each figure.

    Raises:
        NoGPU: there is none where the plan names one.
    """
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise NoGPU("torch finds no GPU here (CUDA), so nothing was measured")
    yield _head(plan)
    folder = images.for_trials(plan.train, plan.val)
    with tempfile.TemporaryDirectory() as scratch:
        for model, size in plan.networks:
            name = {"model": model, "size": size}
            for line in steps(plan, model, _weights(model), size):
                yield {"kind": "step", **name, **line}
            for line in trainings(plan, model, _weights(model), size, folder, Path(scratch)):
                yield {"kind": "training", **name, **line}
        for model, size in plan.networks if plan.beside else ():
            name = {"model": model, "size": size}
            for line in hours(plan, model, _weights(model), size, folder, Path(scratch)):
                yield {"kind": "hour", **name, **line}


def steps(plan: Plan, model: str, weights: Path, size: int) -> Iterator[Line]:
    """Yield images a second of a plain step, and of ours with all terms, on made-up images.

    On a GPU two arms more: the plain step as a CUDA graph, which is what the launches of its
    kernels cost, and ours without its graph.
    """
    device = torch.device(plan.device)
    pixels = torch.randn(plan.batch_size, 3, size, size, device=device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(plan.batch_size, device=device) % N_CLASSES
    arms: dict[str, Callable[[], Step]] = {
        PLAIN_STEP: lambda: _plain_step(model, device),
        OURS: lambda: _our_step(OURS, model, weights, size, device),
    }
    if plan.device == "cuda":
        arms[BY_KERNEL] = lambda: _our_step(BY_KERNEL, model, weights, size, device)
        arms[STEP_GRAPH] = lambda: _graph_of(_plain_step(model, device), pixels, labels)
    for arm, make in arms.items():
        step = make()
        n_steps, seconds = _timed(partial(step, pixels, labels), plan)
        yield {"arm": arm, "images_a_second": n_steps * plan.batch_size / seconds}


def trainings(
    plan: Plan, model: str, weights: Path, size: int, folder: Path, scratch: Path
) -> Iterator[Line]:
    """Yield where the time of a whole training goes, from files to the last validation.

    One that is not counted comes first: libraries set themselves up for each shape they see.
    """
    from tlsearch.backbones import load_backbone
    from tlsearch.data import load_catalog, load_for_recipe
    from tlsearch.finetune import FineTuneData, fine_tune
    from tlsearch.spec import DataSpec

    device, recipe = torch.device(plan.device), _recipe(plan, size)
    os.environ["XDG_CACHE_HOME"] = f"{scratch / 'cache'}"
    began = time.perf_counter()
    pixels = load_for_recipe(load_catalog(DataSpec(path=f"{folder}")), recipe)
    data = FineTuneData.on_device(pixels, device)
    reading = time.perf_counter() - began
    backbone = load_backbone(model, f"{weights}", size)
    fine_tune(backbone, data, recipe.model_copy(update={"epochs": 1}), _all_terms(), device)
    for arm in (BY_KERNEL, OURS) if plan.device == "cuda" else (OURS,):
        with _graphs(arm):
            result = fine_tune(backbone, data, recipe, _all_terms(), device)
        assert result.times is not None
        times = {name: getattr(result.times, name) for name in ("batches", "steps", "validation")}
        rate = result.times.images / (result.times.batches + result.times.steps)
        yield {
            "arm": arm,
            "reading": reading,
            **times,
            "seconds": result.seconds,
            "images_a_second": rate,
            "accuracy": result.curve[-1].val_accuracy,
        }


def hours(
    plan: Plan, model: str, weights: Path, size: int, folder: Path, scratch: Path
) -> Iterator[Line]:
    """Yield trials an hour of one, two and more workers; the start of the processes included."""
    tlsearch = [sys.executable, "-m", "tlsearch"]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TLSEARCH_")}
    environment = kept | {
        "XDG_DATA_HOME": f"{scratch / 'data'}",
        "XDG_CACHE_HOME": f"{scratch / 'cache'}",
        "TLSEARCH_ARTIFACTS": f"{scratch / 'artifacts'}",
    }
    run([*tlsearch, "db", "start"], environment)
    try:
        for n in plan.beside:
            name, trials = f"{model.replace('_', '-')}-{n}", n * plan.trials
            spec = scratch / f"{name}.toml"
            spec.write_text(_spec(plan, name, model, weights, size, folder, trials))
            run([*tlsearch, "create", f"{spec}"], environment)
            gpu = ["--gpus", "0", "--per-gpu", f"{n}"]
            where = gpu if plan.device == "cuda" else ["--processes", f"{n}"]
            ran = run([*tlsearch, "worker", name, *where, "--json"], environment)
            yield {"workers": n, "trials": trials, "an_hour": 3600 * trials / ran.seconds}
    finally:
        run([*tlsearch, "db", "stop"], environment)


def _spec(
    plan: Plan, name: str, model: str, weights: Path, size: int, folder: Path, trials: int
) -> str:
    lines = {
        "name": name,
        "data.path": f"{folder}",
        "backbone.model": model,
        "backbone.weights": f"{weights}",
        "recipe.image_size": size,
        "recipe.epochs": plan.epochs,
        "recipe.batch_size": plan.batch_size,
        "measures.when": "off",
        "sampler.name": "random",
        "pruner.name": "none",
        "budget.trials": trials,
    }
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())


def _recipe(plan: Plan, size: int) -> Any:
    from tlsearch.spec import RecipeSpec

    return RecipeSpec(image_size=size, epochs=plan.epochs, batch_size=plan.batch_size)


def _all_terms() -> Any:
    """Return hyperparameters with which every term of the engine is at work."""
    from tlsearch.records import Hyperparameters

    return Hyperparameters(
        reinit_layers=1,
        high_lr=0.01,
        low_lr_ratio=0.1,
        low_layers=9,
        alpha=0.01,
        beta=1e-4,
        l2sp_layers=9,
    )


def _weights(model: str) -> Path:
    """Return a file of random weights, made if need be."""
    path = home() / f"{model}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        state = timm.create_model(model, pretrained=False).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


Step = Callable[[Tensor, Tensor], None]


def _plain_step(model: str, device: torch.device) -> Step:
    network = timm.create_model(model, pretrained=False, num_classes=N_CLASSES)
    network = network.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)

    def step(pixels: Tensor, labels: Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network(pixels)
        loss = loss_of(outputs.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _graph_of(step: Step, pixels: Tensor, labels: Tensor) -> Step:
    """Return the replay of a step on these very tensors, recorded after a few that warm it up."""
    for _ in range(WARM_UP):
        step(pixels, labels)
    graph, _ = record(partial(step, pixels, labels), pixels.device)
    return lambda _pixels, _labels: graph.replay()


def _graphs(arm: str) -> AbstractContextManager[Any]:
    """Let trainings that begin in the block use CUDA graphs, or not."""
    return patch.dict(os.environ, {VARIABLE: "0" if arm == BY_KERNEL else "1"})


def _our_step(arm: str, model: str, weights: Path, size: int, device: torch.device) -> Step:
    from tlsearch.backbones import load_backbone
    from tlsearch.data import DeviceImages
    from tlsearch.data.imageset import packed
    from tlsearch.finetune import FineTuneData
    from tlsearch.finetune.training import Training

    labels = list(range(N_CLASSES)) * 8
    blank = [np.zeros((size, size, 3), np.uint8) for _ in labels]
    split = DeviceImages(packed(blank, labels), device)
    recipe = _recipe(Plan(), size)
    backbone = load_backbone(model, f"{weights}", size)
    data = FineTuneData(split, split, N_CLASSES)
    with _graphs(arm):
        training = Training.begin(backbone, data, recipe, _all_terms(), device)
    training.set_training_mode()

    def step(pixels: Tensor, labels: Tensor) -> None:
        training.run_step(pixels, labels, 0.1)

    return step


def _timed(step: Callable[[], None], plan: Plan) -> tuple[int, float]:
    """Return steps and their seconds, after a few to warm up."""
    for _ in range(5 if plan.device == "cuda" else 1):
        step()
    _wait(plan)
    began, n_steps = time.perf_counter(), 0
    while time.perf_counter() - began < plan.step_seconds:
        for _ in range(10 if plan.device == "cuda" else 1):
            step()
            n_steps += 1
        _wait(plan)
    return n_steps, time.perf_counter() - began


def _wait(plan: Plan) -> None:
    if plan.device == "cuda":
        torch.cuda.synchronize()


def _head(plan: Plan) -> Line:
    gpu = torch.cuda.get_device_name() if plan.device == "cuda" else cpu_name()
    settings = {name: getattr(plan, name) for name in ("train", "val", "epochs", "batch_size")}
    return {
        "kind": "head",
        "device": gpu,
        **settings,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "timm", "pillow", "numpy")},
        "commit": commit("tlsearch", "bench/engine"),
        "started": time.strftime("%Y-%m-%d %H:%M"),
    }
