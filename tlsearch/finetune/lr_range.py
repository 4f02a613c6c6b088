"""The scale of learning rates that is right for a network, its optimiser and the data.

Smith, "Cyclical learning rates for training neural networks" (WACV 2017), section 3.3: train a few
steps while the rate grows exponentially. The loss falls, then training diverges; the rate at the
lowest loss is about the highest useful one.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from tlsearch.backbones import Backbone
from tlsearch.data import kept_memory
from tlsearch.errors import TrialFailure
from tlsearch.finetune.guards import memory_errors, reproducible
from tlsearch.finetune.images import FineTuneData
from tlsearch.finetune.parts import in_parts_that_fit
from tlsearch.finetune.training import Training
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec

Rates = NDArray[np.float64]

STEPS = 60
LOWEST, HIGHEST = 1e-4, 1.0  # of SGD
_ADAMW = 0.1  # AdamW's rates are about a decade lower
_HALF_WINDOW = 4  # losses are averaged over this many steps before and after
_DIVERGED = 1.5  # times the lowest loss


def lr_range_test(
    backbone: Backbone, data: FineTuneData, recipe: RecipeSpec, device: torch.device
) -> float:
    """Return the learning rate at the lowest training loss while the rate grows.

    Plain fine-tuning (new classifier, one rate) of a fresh copy, with the recipe's batches,
    augmentation, optimiser and loss; at most `STEPS` steps. Deterministic under the recipe's seed.

    Args:
        backbone: pretrained network.
        data: images on `device`; those for validation are not used.
        recipe: what all trials of a study share.
        device: where to train.

    Raises:
        TrialFailure: `nan` if the loss is not finite at the lowest rate, or `out_of_memory`.
    """
    rates = np.geomspace(LOWEST, HIGHEST, STEPS) * (_ADAMW if recipe.optimizer == "adamw" else 1)

    def run() -> list[float]:
        with reproducible(recipe.seed, device), kept_memory(device):
            return _losses(backbone, data, recipe, device, rates)

    with memory_errors(recipe, device):
        losses = in_parts_that_fit(backbone, recipe, len(data.train), device, run)
    if not math.isfinite(losses[0]):
        raise TrialFailure("nan", f"the loss is not finite at the learning rate {rates[0]:g}")
    return rate_at_lowest(rates, losses)


def rate_at_lowest(rates: Rates, losses: list[float]) -> float:
    """Return the rate at the lowest smoothed loss.

    Args:
        rates: (n,), growing.
        losses: one per rate; there may be fewer, and the last ones may not be finite.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    return float(rates[int(np.argmin(_smoothed(finite)))])


def _losses(
    backbone: Backbone,
    data: FineTuneData,
    recipe: RecipeSpec,
    device: torch.device,
    rates: Rates,
) -> list[float]:
    plain = Hyperparameters(1, 1.0, 1.0, 0, 0.0, 1e-4, 0)
    training = Training.begin(backbone, data, recipe, plain, device)
    training.set_training_mode()
    losses: list[float] = []
    epoch = 0
    while True:
        epoch += 1
        for images, labels in training.batches(epoch):
            losses.append(training.run_step(images, labels, float(rates[len(losses)])).item())
            if len(losses) == len(rates) or _diverged(losses):
                return losses


def _diverged(losses: list[float]) -> bool:
    if not math.isfinite(losses[-1]):
        return True
    return min(losses[-3:]) > _DIVERGED * min(_smoothed(losses))


def _smoothed(losses: list[float]) -> list[float]:
    """Return the mean around each step; a running mean would lag behind."""
    windows = (losses[max(0, i - _HALF_WINDOW) : i + _HALF_WINDOW + 1] for i in range(len(losses)))
    return [sum(window) / len(window) for window in windows]
