"""Yields normalised batches from images that stay on the device as uint8."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tlsearch.data.augment import augment, draw_augmentations
from tlsearch.data.crops import centre_crops, draw_epoch, resampled_crops
from tlsearch.data.erasing import draw_erasures, erase
from tlsearch.data.imageset import ImageSet
from tlsearch.errors import DataError
from tlsearch.spec import RecipeSpec

Batch = tuple[Tensor, Tensor]


class DeviceImages:
    """The images of a split, on a device.

    Attributes:
        pixels: uint8 (n, 3, H, W) on the device; see `ImageSet.pixels`.
        labels: int64 (n,) on the device.
        sizes: int64 (n, 2) on the CPU, where crops are drawn: height and width, pixels.
    """

    def __init__(self, images: ImageSet, device: torch.device | str) -> None:
        channels_first = np.array(images.pixels.transpose(0, 3, 1, 2), order="C")
        self.pixels = torch.from_numpy(channels_first).to(device)
        self.labels = torch.tensor(images.labels, device=device)
        self.sizes = torch.tensor(images.sizes, dtype=torch.int64)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.pixels.device


def train_batches(
    images: DeviceImages,
    recipe: RecipeSpec,
    mean: Sequence[float],
    std: Sequence[float],
    epoch: int,
) -> Iterator[Batch]:
    """Yield the shuffled, cropped, flipped and augmented batches of an epoch.

    Each image gets a random-resized crop, or with `crop_scale` [1, 1] the centre crop without
    resampling. A last, smaller batch is left out unless it is the only one. The same recipe
    and epoch give the same draws on every device.

    Args:
        images: the training images.
        recipe: for image_size, batch_size, the crops, the flip, what augments and erases, and the
            seed.
        mean: of each channel, of pixels from 0 to 1.
        std: standard deviation, the same way.
        epoch: number of the epoch.

    Yields:
        float32 (b, 3, image_size, image_size), channels last, and int64 (b,) labels.

    Raises:
        DataError: the images are smaller than `image_size`.
    """
    size = recipe.image_size
    _check_size(images, size)
    whole = recipe.crop_scale is not None and recipe.crop_scale.low == 1
    normalise = _Normaliser(mean, std, images.device)
    draws = draw_epoch(images.sizes, recipe, epoch).to(images.device)
    augmentations = draw_augmentations(len(images), recipe, epoch)
    erasures = draw_erasures(len(images), recipe, epoch).to(images.device)
    sizes = images.sizes.to(images.device)
    for number, batch in enumerate(draws.batches(recipe.batch_size)):
        rows = slice(number * len(batch.order), (number + 1) * len(batch.order))
        if whole:
            taken = sizes[batch.order]
            pixels = centre_crops(images.pixels, taken, batch.order, size, batch.flips)
        else:
            pixels = resampled_crops(images.pixels, batch, size)
        pixels = normalise(augment(pixels, augmentations.rows(rows)))
        if recipe.erasing:
            pixels = erase(pixels, erasures[rows])
        yield pixels, images.labels[batch.order]


def val_batches(
    images: DeviceImages,
    recipe: RecipeSpec,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int,
) -> Iterator[Batch]:
    """Yield the centre crops of all images in order, without resampling.

    Args:
        images: the validation images.
        recipe: for image_size.
        mean: of each channel, of pixels from 0 to 1.
        std: standard deviation, the same way.
        batch_size: images per batch; the last batch may be smaller.

    Yields:
        float32 (b, 3, image_size, image_size), channels last, and int64 (b,) labels.

    Raises:
        DataError: the images are smaller than `image_size`.
    """
    orders = torch.split(torch.arange(len(images)), batch_size)
    return evaluation_batches(images, recipe, mean, std, orders)


def evaluation_batches(
    images: DeviceImages,
    recipe: RecipeSpec,
    mean: Sequence[float],
    std: Sequence[float],
    orders: Iterable[Tensor],
) -> Iterator[Batch]:
    """Yield the centre crops of some images, without resampling.

    Args:
        images: of any split.
        recipe: for image_size.
        mean: of each channel, of pixels from 0 to 1.
        std: standard deviation, the same way.
        orders: int64 (b,), which images are in each batch.

    Yields:
        float32 (b, 3, image_size, image_size), channels last, and int64 (b,) labels.

    Raises:
        DataError: the images are smaller than `image_size`.
    """
    size = recipe.image_size
    _check_size(images, size)
    normalise = _Normaliser(mean, std, images.device)
    sizes = images.sizes.to(images.device)
    for chosen in orders:
        order = chosen.to(images.device)
        pixels = centre_crops(images.pixels, sizes[order], order, size)
        yield normalise(pixels), images.labels[order]


class _Normaliser:
    """Turns pixels from 0 to 255 into `(pixel / 255 - mean) / std`."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        means, stds = (torch.tensor(list(v), dtype=torch.float64) for v in (mean, std))
        self.scale = (1 / (255 * stds)).float().view(1, 3, 1, 1).to(device)
        self.shift = (-means / stds).float().view(1, 3, 1, 1).to(device)

    def __call__(self, pixels: Tensor) -> Tensor:
        values = pixels.float().mul_(self.scale).add_(self.shift)
        return values.contiguous(memory_format=torch.channels_last)


def _check_size(images: DeviceImages, size: int) -> None:
    smallest = int(images.sizes.min())
    if smallest < size:
        raise DataError(
            f"the images were decoded to {smallest} pixels but recipe.image_size is {size}; load "
            "the data again with this image_size"
        )
