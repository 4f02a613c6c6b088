"""Mixes each training image and its label with those of another image of the batch.

mixup: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond empirical risk minimization" (ICLR 2018),
section 2: the weighted mean of two images. CutMix: Yun et al., "CutMix: Regularization strategy to
train strong classifiers with localizable features" (ICCV 2019), section 3.1: a rectangle of one
image on another. The partner is the image before in the batch, which is shuffled; each image has
a lambda of its own (timm's mode `elem`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tlsearch.data.crops import inside, seed_from
from tlsearch.spec import RecipeSpec


@dataclass(frozen=True, slots=True, eq=False)
class Mixes:
    """How to mix the images of a batch.

    Attributes:
        shares: float32 (b,), how much of the label is the image's own: lambda.
        pastes: bool (b,), whether a box of the partner is pasted (CutMix) instead of the whole
            blended (mixup).
        boxes: int64 (b, 4), top, left, height and width of that box, pixels.
    """

    shares: Tensor
    pastes: Tensor
    boxes: Tensor

    def to(self, device: torch.device) -> "Mixes":
        """Return the same on another device, without waiting for it."""
        parts = (self.shares, self.pastes, self.boxes)
        return Mixes(*(part.to(device, non_blocking=True) for part in parts))


def mixed_batches(
    batches: Iterable[tuple[Tensor, Tensor]], recipe: RecipeSpec, n_classes: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of an epoch mixed as the recipe says; unchanged where it says nothing.

    The draws are made on the CPU and depend only on the recipe, the epoch and the sizes of the
    batches before. With both mixup and CutMix each image gets one of them, by equal chance.

    Args:
        batches: float32 (b, 3, size, size) and int64 (b,) labels, or (b, n_classes): several an
            image, or shares of the classes times weights; all of the epoch, in order.
        recipe: for mixup, cutmix and the seed.
        n_classes: length of a soft label.
        epoch: number of the epoch.

    Yields:
        Images of the same shape, and float32 (b, n_classes) soft labels; of one label an image
        their rows sum to 1.
    """
    if not (recipe.mixup or recipe.cutmix):
        yield from batches
        return
    rng = np.random.default_rng(seed_from(recipe.seed, epoch, "mix"))
    for pixels, labels in batches:
        mixes = draw_mixes(len(labels), pixels.shape[-1], recipe, rng).to(pixels.device)
        yield mix(pixels, mixes), soft_labels(labels, mixes.shares, n_classes)


def draw_mixes(n: int, size: int, recipe: RecipeSpec, rng: np.random.Generator) -> Mixes:
    """Draw for n images: lambda from Beta(alpha, alpha), and the box where CutMix is chosen.

    The box has the share 1 - lambda of the image and its centre anywhere in it; what lies outside
    is cut off, and lambda is then what remains of the image (as in the published code).

    Args:
        n: number of images.
        size: side of the images, pixels.
        recipe: for mixup and cutmix, the two alphas; at least one is above 0.
        rng: of the CPU.
    """
    chance = 0.0 if not recipe.cutmix else 0.5 if recipe.mixup else 1.0
    pastes = rng.random(n) < chance
    alphas = np.where(pastes, recipe.cutmix, recipe.mixup)
    lambdas = rng.beta(alphas, alphas)
    half = (0.5 * np.sqrt(1 - lambdas) * size).astype(np.int64)
    centre = rng.integers(size, size=(2, n))
    low, high = (centre - half).clip(min=0), (centre + half).clip(max=size)
    extent = (high - low) * pastes
    shares = np.where(pastes, 1 - extent.prod(0) / size**2, lambdas)
    boxes = np.concatenate([low, extent]).T
    return Mixes(*(torch.from_numpy(found) for found in (shares.astype(np.float32), pastes, boxes)))


def mix(pixels: Tensor, mixes: Mixes) -> Tensor:
    """Return float32 (b, 3, size, size) images, each mixed with the one before it."""
    blend = mixes.shares[:, None, None, None]
    own = torch.where(
        mixes.pastes[:, None, None, None], (~inside(mixes.boxes, pixels.shape[-1])).float(), blend
    )
    mixed = pixels * own + pixels.roll(1, 0) * (1 - own)
    return mixed.contiguous(memory_format=torch.channels_last)


def soft_labels(labels: Tensor, shares: Tensor, n_classes: int) -> Tensor:
    """Return float32 (b, n_classes): the share of each class in each mixed image.

    Labels that are rows already are mixed as they are.
    """
    own = (F.one_hot(labels, n_classes) if labels.ndim == 1 else labels).float()
    share = shares[:, None]
    return own * share + own.roll(1, 0) * (1 - share)
