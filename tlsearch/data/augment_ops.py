"""The operations of TrivialAugment and RandAugment, on many images at once.

Each does on a batch what torchvision's function of the same name does on one image of bytes, up to
one level (of 255) of rounding. Each image has a magnitude of its own. Where torchvision has a
choice, geometric operations are bilinear, and what comes from outside is black.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_GREY = (2989, 5870, 1140)  # ten thousandths of red, green and blue, as in torchvision
_ROUNDING = 1e-3  # far above that of a sum in fp32: whole numbers stay whole on every device
LEVELS = 256


def affine(pixels: Tensor, sources: Tensor) -> Tensor:
    """Move pixels.

    Args:
        pixels: uint8 (b, 3, size, size).
        sources: float32 (b, 2, 3), from a place in the result to one in the image; x and y are 0
            in the centre, and -1 and 1 at the edges.

    Returns:
        uint8 (b, 3, size, size).
    """
    grid = F.affine_grid(sources, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels.float(), grid, mode="bilinear", align_corners=False)
    return moved.round_().clamp_(0, 255).to(torch.uint8)


def brightness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Blend with black; 0 = black, 1 = unchanged, above 1 = brighter. uint8 in and out."""
    return _blend(pixels, torch.zeros((), device=pixels.device), factors)


def colour(pixels: Tensor, factors: Tensor) -> Tensor:
    """Blend with the grey image; 0 = grey, 1 = unchanged. uint8 in and out."""
    return _blend(pixels, _grey(pixels), factors)


def contrast(pixels: Tensor, factors: Tensor) -> Tensor:
    """Blend with the mean grey of the image; 0 = that grey, 1 = unchanged. uint8 in and out."""
    return _blend(pixels, _grey(pixels).mean((1, 2, 3), keepdim=True), factors)


def sharpness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Blend with a blurred image; 0 = blurred, 1 = unchanged. uint8 in and out.

    The outermost pixels stay as they are.
    """
    inner = pixels[..., 1:-1, 1:-1]
    # The kernel has 5 / 13 in the middle and 1 / 13 around it.
    blurred = (F.avg_pool2d(pixels.float(), 3, stride=1) * 9 + inner * 4.0).div_(13).round_()
    changed = pixels.clone()
    changed[..., 1:-1, 1:-1] = _blend(inner, blurred, factors)
    return changed


def posterize(pixels: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits of each value; 8 = unchanged. uint8 in and out."""
    masks = LEVELS - 2.0 ** (8 - bits)
    return pixels & masks.to(torch.uint8)[:, None, None, None]


def solarize(pixels: Tensor, thresholds: Tensor) -> Tensor:
    """Invert values from a threshold on, given as a share of 255. uint8 in and out."""
    bound = (thresholds * 255)[:, None, None, None]
    return torch.where(pixels >= bound, 255 - pixels, pixels)


def autocontrast(pixels: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to 0 to 255. uint8 in and out."""
    values = pixels.float()
    lowest, highest = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    flat = lowest == highest
    scale = torch.where(flat, 1.0, (highest - lowest) * (1 / 255))
    stretched = (values - torch.where(flat, 0.0, lowest)) / scale
    return stretched.add_(_ROUNDING).clamp_(0, 255).to(torch.uint8)


def equalize(pixels: Tensor, _: Tensor) -> Tensor:
    """Make the histogram of each channel even, by Pillow's rule. uint8 in and out."""
    values = pixels.flatten(2).long()
    counts = torch.zeros(*values.shape[:2], LEVELS, dtype=torch.int64, device=pixels.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    of_highest = counts.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - of_highest) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp_min(1)).clamp_(0, 255)
    return torch.where(step > 0, table.gather(2, values), values).to(torch.uint8).view_as(pixels)


def _blend(pixels: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    factor = factors[:, None, None, None]
    blended = pixels * factor + others * (1 - factor)
    return blended.add_(_ROUNDING).clamp_(0, 255).to(torch.uint8)


def _grey(pixels: Tensor) -> Tensor:
    """Return float32 (b, 1, size, size), whole numbers."""
    red, green, blue = pixels.int().unbind(1)
    grey = (red * _GREY[0] + green * _GREY[1] + blue * _GREY[2]) // 10_000
    return grey[:, None].float()
