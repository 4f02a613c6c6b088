"""Draws the order, crops and flips of an epoch, and cuts the crops from images on a device."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tlsearch.data.balance import balanced_order
from tlsearch.records import Range
from tlsearch.records.resize import Resize
from tlsearch.spec import RecipeSpec

TRIES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """The random choices for some images, in the order in which they are used.

    Attributes:
        order: int64 (n,), which images.
        boxes: int64 (n, 4), top, left, height and width of the crop, pixels.
        flips: bool (n,), whether to mirror.
    """

    order: Tensor
    boxes: Tensor
    flips: Tensor

    def to(self, device: torch.device) -> "Draws":
        """Return the same on another device, without waiting for it."""
        parts = (self.order, self.boxes, self.flips)
        return Draws(*(part.to(device, non_blocking=True) for part in parts))

    def taken(self, which: Tensor) -> "Draws":
        """Return those at some places (b,)."""
        return Draws(self.order[which], self.boxes[which], self.flips[which])

    def batches(self, batch_size: int) -> Iterator["Draws"]:
        """Yield the whole batches; one smaller batch where there is no whole one."""
        size = min(batch_size, len(self.order))
        for start in range(0, len(self.order) - size + 1, size):
            part = slice(start, start + size)
            yield Draws(self.order[part], self.boxes[part], self.flips[part])


def seed_from(*parts: int | str) -> int:
    """Combine a recipe's seed and, say, an epoch and a purpose into 32 bits.

    Draws for one purpose do not change those for another. torch's CPU generator ignores higher
    bits.
    """
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def draw_epoch(
    sizes: Tensor, recipe: RecipeSpec, epoch: int, labels: Tensor | None = None
) -> Draws:
    """Draw an epoch on the CPU; it depends only on the images, the recipe and the epoch.

    Args:
        sizes: (n, 2) on the CPU, height and width of each image, pixels.
        recipe: for the sampling, the seed, the crop's scale and ratio, and the flip.
        epoch: any whole number.
        labels: int64 (n,), of the images; only balanced sampling needs them.
    """
    generator = torch.Generator().manual_seed(seed_from(recipe.seed, epoch))
    n = len(sizes)
    order = torch.randperm(n, generator=generator)
    if recipe.sampling == "balanced":
        assert labels is not None, "classes cannot come equally often unless they are known"
        own = torch.Generator().manual_seed(seed_from(recipe.seed, epoch, "balance"))
        order = balanced_order(labels.cpu(), own)
    flips = (torch.rand(n, generator=generator) < 0.5) & recipe.horizontal_flip
    scale, ratio = recipe.crop_scale, recipe.crop_ratio
    assert scale is not None  # RecipeSpec refuses None
    assert ratio is not None
    return Draws(order, random_boxes(sizes[order], scale, ratio, generator), flips)


def random_boxes(sizes: Tensor, scale: Range, ratio: Range, generator: torch.Generator) -> Tensor:
    """Draw a crop within each image: area uniform, aspect ratio log-uniform.

    Takes the first of ten tries that fits, else the largest centre crop with an aspect ratio in
    the range. This is the rule of torchvision's RandomResizedCrop.

    Args:
        sizes: (n, 2), height and width, pixels.
        scale: share of the image's area.
        ratio: width / height.
        generator: of the CPU.

    Returns:
        int64 (n, 4): top, left, height, width, pixels.
    """
    height, width = sizes.double().unbind(1)
    draws = torch.rand(2, TRIES, len(sizes), dtype=torch.float64, generator=generator)
    area = height * width * (scale.low + (scale.high - scale.low) * draws[0])
    low, high = math.log(ratio.low), math.log(ratio.high)
    aspect = torch.exp(low + (high - low) * draws[1])
    tried = torch.stack([(area / aspect).sqrt().round(), (area * aspect).sqrt().round()])
    limits = torch.stack([height, width])
    fits = ((tried > 0) & (tried <= limits[:, None])).all(0)
    first = fits.int().argmax(0)
    taken = tried.gather(1, first.expand(2, 1, -1)).squeeze(1)
    any_fits = fits.any(0)
    extent = torch.where(any_fits, taken, _largest(height, width, ratio))
    free = limits - extent
    places = torch.rand(2, len(sizes), dtype=torch.float64, generator=generator)
    corner = torch.where(any_fits, (places * (free + 1)).floor(), (free / 2).floor())
    return torch.cat([corner, extent]).T.long()


def resampled_crops(pixels: Tensor, draws: Draws, size: int) -> Tensor:
    """Resize crops bilinearly to `size` x `size`, without reading a pixel outside the crop.

    Args:
        pixels: uint8 (n, 3, H, W).
        draws: b images, boxes and flips, on the same device.
        size: side of the result, pixels.

    Returns:
        float32 (b, 3, size, size), 0 to 255.
    """
    canvas = pixels.index_select(0, draws.order).float()
    top, left, height, width = draws.boxes.float()[:, :, None].unbind(1)
    steps = (torch.arange(size, device=pixels.device) + 0.5) / size
    columns = torch.where(draws.flips[:, None], steps.flip(0), steps)
    x = _positions(left, width, columns, canvas.shape[3])
    y = _positions(top, height, steps, canvas.shape[2])
    shape = (len(x), size, size)
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)
    return F.grid_sample(canvas, grid, mode="bilinear", align_corners=False)


def centred(sizes: Tensor, size: int, resize: Resize = "timm") -> Tensor:
    """Return the boxes (n, 4) of the centre crops.

    Args:
        sizes: int64 (n, 2), height and width, pixels.
        size: side of the crop, pixels.
        resize: by which rule; see `tlsearch.data.fitting.before_centre`.
    """
    margin = sizes - size
    corner = margin // 2 + (margin % 4 == 3) * (resize == "timm")
    return torch.cat([corner, torch.full_like(sizes, size)], dim=1)


def centre_crops(pixels: Tensor, draws: Draws, size: int) -> Tensor:
    """Cut boxes of `size` x `size` pixels out, without resampling.

    Args:
        pixels: uint8 (n, 3, H, W).
        draws: b images, boxes of this size (see `centred`) and flips, on the same device.
        size: side of the result, pixels.

    Returns:
        uint8 (b, 3, size, size), channels last.
    """
    steps = torch.arange(size, device=pixels.device)
    columns = torch.where(draws.flips[:, None], steps.flip(0), steps)
    corner = draws.boxes[:, :2, None]
    rows, columns = corner[:, 0] + steps, corner[:, 1] + columns
    taken = pixels[draws.order[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return taken.permute(0, 3, 1, 2)


def inside(boxes: Tensor, size: int) -> Tensor:
    """Return which pixels of a square lie in a box.

    Args:
        boxes: int64 (b, 4), top, left, height and width, pixels.
        size: side of the square, pixels.

    Returns:
        bool (b, 1, size, size).
    """
    steps = torch.arange(size, device=boxes.device)
    top, left, height, width = boxes[:, :, None].unbind(1)
    rows = (steps >= top) & (steps < top + height)
    columns = (steps >= left) & (steps < left + width)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _positions(start: Tensor, extent: Tensor, steps: Tensor, canvas: int) -> Tensor:
    """Return where to sample, in grid_sample's units: -1 and 1 are the canvas's outer edges."""
    edge = start + steps * extent
    inside = torch.maximum(torch.minimum(edge, start + extent - 0.5), start + 0.5)
    return inside * (2 / canvas) - 1


def _largest(height: Tensor, width: Tensor, ratio: Range) -> Tensor:
    """Return height and width (2, n) of the largest crops whose aspect ratio is in range."""
    aspect = width / height
    crop_height = torch.where(aspect < ratio.low, (width / ratio.low).round(), height)
    crop_width = torch.where(aspect > ratio.high, (height * ratio.high).round(), width)
    return torch.stack([crop_height, crop_width]).clamp_min(1)
