"""Pooled features of the frozen pretrained network, computed once and cached."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tlsearch.backbones import Backbone, InputStatistics, build, pooled_features
from tlsearch.data import (
    DeviceImages,
    ImageSet,
    TrainingData,
    evaluated_at_once,
    features_folder,
    in_batches_that_fit,
    kept_memory,
    read_arrays,
    val_batches,
    write_arrays,
)
from tlsearch.errors import BackboneError, DataError, first_line
from tlsearch.spec import RecipeSpec

VERSION = 1  # raise it when the features change
_SAME = 1e-5  # of the largest value: a smaller difference is rounding, not one between images

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Features:
    """Features of labelled images.

    Attributes:
        values: float32 (n, d), the input of the classifier for each image.
        labels: int64 (n,); of several labels an image (n, n_classes) of 0 and 1.
    """

    values: Matrix
    labels: Labels

    def taken(self, which: NDArray[np.bool_]) -> "Features":
        """Return those of some images, bool (n,)."""
        return Features(self.values[which], self.labels[which])

    def joined(self, others: "Features") -> "Features":
        """Return these and then others."""
        values = np.concatenate([self.values, others.values])
        return Features(values, np.concatenate([self.labels, others.labels]))


def features_of(
    backbone: Backbone,
    images: Callable[[], Iterable[ImageSet]],
    fingerprint: str,
    recipe: RecipeSpec,
    device: torch.device,
    where: str,
    check: Callable[[], None] = lambda: None,
) -> Features:
    """Return the features of images, from the cache if they are there.

    The network is in evaluation mode and gets the evaluation crop, without augmentation.

    Args:
        backbone: pretrained network.
        images: returns them in parts, decoded for this recipe's image_size, eval_crop and resize;
            not
            called where the features are in the cache.
        fingerprint: of the images' content; network, recipe and this are the key of the cache.
        recipe: for image_size, eval_crop and resize.
        device: where to compute.
        where: name of the images for the user, for messages.
        check: called after each batch; what it raises ends this.

    Raises:
        DataError: the features are not finite, or equal for all images.
    """
    path = features_folder() / f"{_key(backbone, fingerprint, recipe)}.safetensors"
    cached = read_arrays(path)
    if cached is not None:
        return Features(cached["values"], cached["labels"])
    model = _frozen(backbone).to(device).to(memory_format=torch.channels_last)
    parts = [
        (
            _extract(model, DeviceImages(part, device), recipe, backbone.statistics, check),
            part.labels,
        )
        for part in images()
    ]
    values, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    _check(values, where, backbone.name)
    with suppress(OSError):  # without a cache file the next worker computes them again
        write_arrays(path, {"values": values, "labels": labels})
    return Features(values, labels)


def features_of_splits(
    backbone: Backbone,
    images: Callable[[], TrainingData],
    fingerprint: str,
    recipe: RecipeSpec,
    device: torch.device,
    where: str,
    check: Callable[[], None] = lambda: None,
    *,
    folds: bool = False,
) -> tuple[Features, Features]:
    """Return the features of training and validation images; see `features_of`.

    Args:
        backbone: pretrained network.
        images: returns them decoded for this recipe; called once at most.
        fingerprint: of the content of both splits.
        recipe: for image_size, eval_crop and resize.
        device: where to compute.
        where: name of the images for the user, for messages.
        check: called after each batch; what it raises ends this.
        folds: whether the two are the same images, which have folds.
    """
    load = cache(images)
    if folds:
        name = f"{fingerprint}/train"
        both = features_of(backbone, lambda: [load().train], name, recipe, device, where, check)
        return both, both
    train, val = (
        features_of(backbone, part, f"{fingerprint}/{name}", recipe, device, where, check)
        for name, part in (("train", lambda: [load().train]), ("val", lambda: [load().val]))
    )
    return train, val


def check_size(backbone: Backbone) -> None:
    """Check that the network gives features of images of its size.

    Raises:
        BackboneError: it cannot take them, or has no pooled features.
    """
    blank = torch.zeros(1, 3, backbone.image_size, backbone.image_size)
    try:
        with torch.inference_mode():
            pooled_features(_frozen(backbone), blank)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise BackboneError(first_line(error)) from error


def _key(backbone: Backbone, fingerprint: str, recipe: RecipeSpec) -> str:
    parts = [fingerprint, backbone.name, backbone.fingerprint(), recipe.image_size]
    resize = [] if recipe.resize == "rounded" else [recipe.resize]  # those of 0.2 stay of use
    text = "/".join(map(str, [*parts, recipe.eval_crop, *resize, VERSION]))
    return hashlib.sha256(text.encode()).hexdigest()


@torch.inference_mode()
def _extract(
    model: nn.Module,
    images: DeviceImages,
    recipe: RecipeSpec,
    statistics: InputStatistics,
    check: Callable[[], None],
) -> Matrix:
    def extracted(size: int) -> Matrix:
        found = []
        batches = val_batches(images, recipe, statistics.mean, statistics.std, size)
        for batch, _ in batches:
            found.append(pooled_features(model, batch).float().cpu().numpy())
            check()
        return np.concatenate(found)

    with kept_memory(images.device):
        return in_batches_that_fit(evaluated_at_once(recipe.image_size), extracted)


def _frozen(backbone: Backbone) -> nn.Module:
    """Return the pretrained network in evaluation mode; its classifier is not used."""
    model = build(backbone.name, n_classes=2, seed=0, image_size=backbone.image_size)
    model.load_state_dict(model.state_dict() | dict(backbone.state), strict=True)
    return model.eval()


def _check(values: Matrix, where: str, model: str) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{where}: {model} gives features that are not finite for {int((~finite).sum())} of "
            f"{len(values)} images; check the weights and recipe.image_size"
        )
    if np.ptp(values, axis=0).max() <= _SAME * np.abs(values).max():
        raise DataError(
            f"{where}: {model} gives all {len(values)} images the same features, so nothing can be "
            "measured; check that the images differ and that the weights are trained ones"
        )
