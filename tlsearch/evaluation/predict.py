"""Predicts images from one crop of each, and from several."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import (
    CENTRE,
    DeviceImages,
    View,
    evaluated_at_once,
    evaluation_batches,
    kept_memory,
)
from tlsearch.evaluation.combine import Probabilities
from tlsearch.finetune.guards import mixed_precision
from tlsearch.spec import RecipeSpec


@dataclass(frozen=True, slots=True, eq=False)
class CropPredictions:
    """What one model predicts for some images.

    Attributes:
        single: float64 (n, n_classes), softmax on the evaluation crop; of several labels sigmoid.
        several: the same, the mean over the crops of a 10-crop.
        passes: forward passes an image of that 10-crop.
        seconds_single: an image, from the evaluation crop.
        seconds_several: an image, from all crops.
    """

    single: Probabilities
    several: Probabilities
    passes: int
    seconds_single: float
    seconds_several: float


def predict(
    model: nn.Module,
    images: DeviceImages,
    recipe: RecipeSpec,
    statistics: InputStatistics,
    views: Sequence[View] = (CENTRE,),
) -> CropPredictions:
    """Predict every image from the evaluation crop, and from all crops.

    The model is in evaluation mode afterwards. Each crop is cut from the stored bytes by the
    pipeline of the validation images; softmax is in float64, so that no two logits become equal.

    Args:
        model: on the device of the images.
        images: of any split.
        recipe: for the evaluation crop.
        statistics: of the pixels.
        views: the crops, the evaluation crop (`CENTRE`) first; see `ten_crop`.
    """
    assert views[0] == CENTRE
    model.eval()
    started = time.monotonic()
    with kept_memory(images.device):
        single = _shares(model, images, recipe, statistics, CENTRE)
        seconds_single = (time.monotonic() - started) / len(images)
        total = single.copy()
        for view in views[1:]:
            total += _shares(model, images, recipe, statistics, view)
    seconds = (time.monotonic() - started) / len(images)
    return CropPredictions(single, total / len(views), len(views), seconds_single, seconds)


@torch.inference_mode()
def _shares(
    model: nn.Module,
    images: DeviceImages,
    recipe: RecipeSpec,
    statistics: InputStatistics,
    view: View,
) -> Probabilities:
    """Return probabilities (n, n_classes) for one crop of each image."""
    seen, mean, std = recipe.for_evaluation(), statistics.mean, statistics.std
    orders = torch.split(torch.arange(len(images)), evaluated_at_once(seen.image_size))
    found = []
    for batch, _ in evaluation_batches(images, seen, mean, std, orders, view):
        with mixed_precision(batch.device):
            outputs = model(batch)
        found.append(outputs.float())
    outputs = torch.cat(found).cpu().double()
    several = images.labels.ndim == 2
    shares: Probabilities = (outputs.sigmoid() if several else outputs.softmax(dim=1)).numpy()
    return np.ascontiguousarray(shares)
