"""Erases a rectangle of some training images.

Zhong, Zheng, Kang, Li, Yang, "Random erasing data augmentation" (AAAI 2020), Algorithm 1, with
torchvision's ranges and its value 0, the mean colour.
"""

import torch
from torch import Tensor

from tlsearch.data.crops import inside, random_boxes, seed_from
from tlsearch.records import Range
from tlsearch.spec import RecipeSpec

SHARE = Range(0.02, 0.33)  # of the image's area
RATIO = Range(0.3, 3.3)  # width / height


def draw_erasures(n: int, recipe: RecipeSpec, epoch: int) -> Tensor:
    """Draw an epoch on the CPU; it depends only on n, the recipe and the epoch.

    Args:
        n: number of images.
        recipe: for erasing, image_size and the seed.
        epoch: number of the epoch.

    Returns:
        int64 (n, 4): top, left, height, width, pixels; no extent where nothing is erased.
    """
    generator = torch.Generator().manual_seed(seed_from(recipe.seed, epoch, "erase"))
    chosen = torch.rand(n, generator=generator) < recipe.erasing
    sizes = torch.full((n, 2), recipe.image_size)
    return random_boxes(sizes, SHARE, RATIO, generator) * chosen[:, None]


def erase(pixels: Tensor, boxes: Tensor) -> Tensor:
    """Return normalised images with 0 in their boxes, channels last.

    Args:
        pixels: float32 (b, 3, size, size).
        boxes: int64 (b, 4), see `draw_erasures`, on the same device.
    """
    erased = pixels.masked_fill(inside(boxes, pixels.shape[-1]), 0.0)
    return erased.contiguous(memory_format=torch.channels_last)
