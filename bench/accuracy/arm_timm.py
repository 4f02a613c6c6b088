"""Arm `timm_adamw`: AdamW with layer-wise decay of the rate, all parts of it timm's.

The rate is the best of three on validation. Layer decay and weight decay are those with which BEiT
was fine-tuned (Bao et al. 2022).
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .answers import (
    BATCH_SIZE,
    CROP_RATIO,
    CROP_SCALE,
    LABEL_SMOOTHING,
    Answer,
    Outcome,
    Unit,
    accuracy,
    pretrained,
    probabilities,
)
from .targets import Labels, Pixels

RATES = (1.5e-3, 5e-3, 1.5e-2)  # 5e-4 was worse on validation wherever we tried
LAYER_DECAY, WEIGHT_DECAY = 0.75, 0.05


class Images(Dataset[tuple[Tensor, int]]):
    """Training images through a transform of timm."""

    def __init__(self, pixels: Pixels, labels: Labels, transform: object) -> None:
        self._images = [Image.fromarray(image) for image in pixels]
        self._labels = labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return a cropped image and its label."""
        return self._transform(self._images[index]), self._labels[index]  # type: ignore[operator]


def run(unit: Unit) -> Outcome:
    """Train with each rate, and answer with the model that is best on validation."""
    return best_of(unit, RATES)


def best_of(unit: Unit, rates: Sequence[float]) -> Outcome:
    """Train with each rate; of equal ones the lower rate counts."""
    val, labels = unit.pixels("val"), unit.prepared.labels("val")
    best: tuple[float, nn.Module] | None = None
    found: dict[str, float] = {}
    with unit.clock.running():
        for rate in rates:
            model = trained(unit, rate)
            seen = accuracy(probabilities(model, val), labels)
            found[f"{rate:g}"] = seen
            if best is None or seen > best[0]:
                best = seen, model
    assert best is not None, "there is a rate"
    chosen = best[1]
    answer = Answer(probabilities(chosen, val), probabilities(chosen, unit.pixels("test")))
    return Outcome(answer, unit.clock.seconds, notes={"val_by_rate": found})


def trained(unit: Unit, rate: float) -> nn.Module:
    """Train once with a peak rate."""
    model = pretrained(unit)
    config = model.pretrained_cfg
    transform = create_transform(
        unit.settings.image_size,
        is_training=True,
        scale=CROP_SCALE,
        ratio=CROP_RATIO,
        hflip=0.5 if unit.prepared.target.horizontal_flip else 0.0,
        color_jitter=None,
        interpolation="bilinear",
        mean=config["mean"],  # type: ignore[index]
        std=config["std"],  # type: ignore[index]
    )
    data = Images(unit.pixels("train"), unit.prepared.labels("train"), transform)
    np.random.seed(unit.seed)
    torch.manual_seed(unit.seed)
    loader = DataLoader(data, BATCH_SIZE, shuffle=True, drop_last=len(data) > BATCH_SIZE)
    optimizer = create_optimizer_v2(
        model, "adamw", lr=rate, weight_decay=WEIGHT_DECAY, layer_decay=LAYER_DECAY
    )
    scheduler, _ = create_scheduler_v2(
        optimizer,
        "cosine",
        num_epochs=unit.settings.epochs,
        warmup_epochs=unit.settings.warmup_epochs,
        warmup_lr=rate / 100,
        step_on_epochs=False,
        updates_per_epoch=len(loader),
    )
    criterion = LabelSmoothingCrossEntropy(LABEL_SMOOTHING)
    step = 0
    for _ in range(unit.settings.epochs):
        model.train()
        for images, labels in loader:
            scheduler.step_update(step)
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
            step += 1
    return model
