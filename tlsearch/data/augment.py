"""Augments each training image by operations drawn at random.

TrivialAugment: Müller and Hutter, "TrivialAugment: Tuning-free yet state-of-the-art data
augmentation" (ICCV 2021), Algorithm 1 with the wide space: one operation, its magnitude drawn
from 31. RandAugment: Cubuk et al., "RandAugment: Practical automated data augmentation with a
reduced search space" (NeurIPS 2020), Figure 2: some operations after one another, all at one
magnitude. Operations, magnitudes and chances are torchvision's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from tlsearch.data import augment_ops
from tlsearch.data.crops import seed_from
from tlsearch.spec import MAGNITUDES, RecipeSpec


class Op(IntEnum):
    """The operations, each drawn as often as any other."""

    IDENTITY = 0
    SHEAR_X = 1
    SHEAR_Y = 2
    TRANSLATE_X = 3
    TRANSLATE_Y = 4
    ROTATE = 5
    BRIGHTNESS = 6
    COLOUR = 7
    CONTRAST = 8
    SHARPNESS = 9
    POSTERIZE = 10
    SOLARIZE = 11
    AUTOCONTRAST = 12
    EQUALIZE = 13


GEOMETRIC = (Op.SHEAR_X, Op.SHEAR_Y, Op.TRANSLATE_X, Op.TRANSLATE_Y, Op.ROTATE)
FACTORS = (Op.BRIGHTNESS, Op.COLOUR, Op.CONTRAST, Op.SHARPNESS)
_SIGNED = torch.tensor([op in GEOMETRIC + FACTORS for op in Op])
_BY_VALUE: dict[Op, Callable[[Tensor, Tensor], Tensor]] = {
    Op.BRIGHTNESS: augment_ops.brightness,
    Op.COLOUR: augment_ops.colour,
    Op.CONTRAST: augment_ops.contrast,
    Op.SHARPNESS: augment_ops.sharpness,
    Op.POSTERIZE: augment_ops.posterize,
    Op.SOLARIZE: augment_ops.solarize,
    Op.AUTOCONTRAST: augment_ops.autocontrast,
    Op.EQUALIZE: augment_ops.equalize,
}


@dataclass(frozen=True, slots=True, eq=False)
class Augmentations:
    """What is done to some images, in the order in which they are used; on the CPU.

    Attributes:
        ops: int64 (n, k), the k operations of each image, one after the other; see `Op`.
        magnitudes: float32 (n, k): shears; pixels; degrees; a change of a factor that is 1; bits;
            a share of 255; nothing.
    """

    ops: Tensor
    magnitudes: Tensor

    def rows(self, part: slice) -> "Augmentations":
        """Return those of some images."""
        return Augmentations(self.ops[part], self.magnitudes[part])


def draw_augmentations(n: int, recipe: RecipeSpec, epoch: int) -> Augmentations:
    """Draw an epoch on the CPU; it depends only on n, the recipe and the epoch.

    Args:
        n: number of images.
        recipe: for augment, augment_ops, augment_magnitude, image_size and the seed.
        epoch: number of the epoch.
    """
    generator = torch.Generator().manual_seed(seed_from(recipe.seed, epoch, "augment"))
    shape = n, {"none": 0, "trivial": 1, "rand": recipe.augment_ops}[recipe.augment]
    ops = torch.randint(len(Op), shape, generator=generator)
    drawn = torch.randint(MAGNITUDES, shape, generator=generator)
    negative = torch.rand(shape, generator=generator) < 0.5
    if recipe.augment == "rand":
        magnitudes = _rand_space(recipe.image_size)[ops, recipe.augment_magnitude]
    else:
        magnitudes = _trivial_space()[ops, drawn]
    sign = torch.where(negative & _SIGNED[ops], -1.0, 1.0)
    return Augmentations(ops, magnitudes * sign)


def augment(pixels: Tensor, augmentations: Augmentations) -> Tensor:
    """Do the operations of each image.

    Args:
        pixels: (b, 3, size, size), 0 to 255, on any device.
        augmentations: of these b images.

    Returns:
        uint8 (b, 3, size, size); `pixels` itself where no image has an operation.
    """
    if augmentations.ops.shape[1] == 0:
        return pixels
    images = pixels.round().to(torch.uint8).contiguous()
    for ops, magnitudes in zip(augmentations.ops.T, augmentations.magnitudes.T, strict=True):
        _do(images, ops, magnitudes)
    return images


def _do(images: Tensor, ops: Tensor, magnitudes: Tensor) -> None:
    """Change uint8 (b, 3, size, size) images in place, each by its operation."""
    rows = torch.isin(ops, torch.tensor(GEOMETRIC)).nonzero().squeeze(1)
    if len(rows):
        sources = sources_of(ops[rows], magnitudes[rows], images.shape[-1]).to(
            images.device, non_blocking=True
        )
        here = rows.to(images.device, non_blocking=True)
        images[here] = augment_ops.affine(images[here], sources)
    for op, change in _BY_VALUE.items():
        rows = (ops == op).nonzero().squeeze(1)
        if len(rows):
            here, values = (
                rows.to(images.device, non_blocking=True),
                magnitudes[rows].to(images.device, non_blocking=True),
            )
            images[here] = change(images[here], values + 1 if op in FACTORS else values)


def sources_of(ops: Tensor, magnitudes: Tensor, size: int) -> Tensor:
    """Return where the pixels of each image come from, for `augment_ops.affine`.

    Shears keep the upper left corner in its place, rotations the centre; translations are by
    whole pixels.

    Args:
        ops: int64 (b,), geometric ones.
        magnitudes: float32 (b,).
        size: side of the images, pixels.

    Returns:
        float32 (b, 2, 3).
    """
    shear_x, shear_y, right, down, angle = (
        torch.where(ops == op, magnitudes.double(), 0.0) for op in GEOMETRIC
    )
    cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
    x = torch.stack([cos, shear_x - sin, shear_x - right.trunc() * (2 / size)], dim=1)
    y = torch.stack([shear_y + sin, cos, shear_y - down.trunc() * (2 / size)], dim=1)
    return torch.stack([x, y], dim=1).float()


def _trivial_space() -> Tensor:
    return _space(shear=0.99, pixels=32.0, degrees=135.0, factor=0.99, lost_bits=6)


def _rand_space(size: int) -> Tensor:
    return _space(shear=0.3, pixels=150 / 331 * size, degrees=30.0, factor=0.9, lost_bits=4)


def _space(shear: float, pixels: float, degrees: float, factor: float, lost_bits: int) -> Tensor:
    """Return float32 (operations, MAGNITUDES): each from nothing to its most."""
    most = dict.fromkeys(Op, 0.0)
    most |= {Op.SHEAR_X: shear, Op.SHEAR_Y: shear, Op.TRANSLATE_X: pixels, Op.TRANSLATE_Y: pixels}
    most |= {Op.ROTATE: degrees, **dict.fromkeys(FACTORS, factor)}
    space = torch.stack([torch.linspace(0, most[op], MAGNITUDES) for op in Op])
    space[Op.POSTERIZE] = torch.linspace(8, 8 - lost_bits, MAGNITUDES).round()
    space[Op.SOLARIZE] = torch.linspace(1, 0, MAGNITUDES)
    return space
