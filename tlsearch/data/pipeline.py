"""Yields normalised batches from images that stay on the device as uint8."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tlsearch.data.augment import augment, draw_augmentations
from tlsearch.data.crops import Draws, centre_crops, centred, draw_epoch, resampled_crops
from tlsearch.data.erasing import draw_erasures, erase
from tlsearch.data.imageset import ImageSet
from tlsearch.data.memory import FEWER_IMAGES, as_text, check_room, enough_memory
from tlsearch.data.references import Pixels
from tlsearch.data.views import CENTRE, View
from tlsearch.errors import DataError
from tlsearch.spec import RecipeSpec

Batch = tuple[Tensor, Tensor]

_CHUNK = 1 << 26  # bytes that are copied to the device at a time


class DeviceImages:
    """The images of a split, on a device.

    Attributes:
        pixels: canvases, each uint8 (m, 3, H, W) on the device; see `ImageSet.pixels`.
        places: int64 (n, 2) on the CPU: for each image its canvas, and its row there.
        labels: int64 (n,) on the device.
        sizes: int64 (n, 2) on the CPU, where crops are drawn: height and width, pixels.

    Raises:
        MemoryShortage: the images do not fit on the device.
    """

    def __init__(self, images: ImageSet, device: torch.device | str) -> None:
        what = f"on {device} for the decoded images, which take {as_text(images.pixels.nbytes)}"
        with enough_memory(what, FEWER_IMAGES):
            if torch.device(device).type == "cpu":
                check_room(images.pixels.nbytes, what, FEWER_IMAGES)
            self.pixels = tuple(_on_device(canvas, device) for canvas in images.pixels)
            self.labels = torch.tensor(images.labels, device=device)
        self.places = torch.tensor(images.places, dtype=torch.int64)
        self.sizes = torch.tensor(images.sizes, dtype=torch.int64)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def image(self, index: int) -> Pixels:
        """Return one image on the CPU, uint8 (h, w, 3)."""
        (canvas, row), (height, width) = self.places[index].tolist(), self.sizes[index].tolist()
        pixels = self.pixels[canvas][row, :, :height, :width]
        found: Pixels = pixels.permute(1, 2, 0).cpu().numpy()
        return found

    def labels_of(self, order: Tensor) -> Tensor:
        """Return the labels (b,) on the device of some images (b,), which are on the CPU."""
        return self.labels[order.to(self.device, non_blocking=True)]

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.labels.device

    def joined(self, others: "DeviceImages") -> "DeviceImages":
        """Return these images and then others on the same device, without copying pixels."""
        found = copy(self)
        found.pixels = self.pixels + others.pixels
        shift = torch.tensor([len(self.pixels), 0])
        found.places = torch.cat([self.places, others.places + shift])
        found.sizes = torch.cat([self.sizes, others.sizes])
        found.labels = torch.cat([self.labels, others.labels])
        return found

    def to(self, device: torch.device | str) -> "DeviceImages":
        """Return the same images on another device."""
        found = copy(self)
        found.pixels = tuple(canvas.to(device) for canvas in self.pixels)
        found.labels = self.labels.to(device)
        return found

    def crops(self, draws: Draws, cut: Callable[[Tensor, Draws], Tensor]) -> Tensor:
        """Cut the crops of a batch, canvas by canvas, and return them in the batch's order.

        Args:
            draws: b images, boxes and flips, on the CPU.
            cut: gets a canvas and the draws for it, whose `order` are rows there, on the device.

        Returns:
            (b, 3, size, size), of the type that `cut` returns.
        """
        canvas_of, rows = self.places[draws.order].unbind(1)
        draws = Draws(rows, draws.boxes, draws.flips)
        if len(self.pixels) == 1:
            return cut(self.pixels[0], draws.to(self.device))
        used = sorted(set(canvas_of.tolist()))
        slots = [(canvas_of == canvas).nonzero().squeeze(1) for canvas in used]
        parts = [
            cut(self.pixels[canvas], draws.taken(slot).to(self.device))
            for canvas, slot in zip(used, slots, strict=True)
        ]
        back = torch.cat(slots).argsort().to(self.device, non_blocking=True)
        return torch.cat(parts)[back]


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
    draws = draw_epoch(images.sizes, recipe, epoch)
    if whole:
        draws = Draws(draws.order, centred(images.sizes[draws.order], size), draws.flips)
    cut = partial(centre_crops if whole else resampled_crops, size=size)
    augmentations = draw_augmentations(len(images), recipe, epoch)
    erasures = draw_erasures(len(images), recipe, epoch).to(images.device)
    for number, batch in enumerate(draws.batches(recipe.batch_size)):
        rows = slice(number * len(batch.order), (number + 1) * len(batch.order))
        pixels = images.crops(batch, cut)
        pixels = normalise(augment(pixels, augmentations.rows(rows)))
        if recipe.erasing:
            pixels = erase(pixels, erasures[rows])
        yield pixels, images.labels_of(batch.order)


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
    view: View = CENTRE,
) -> Iterator[Batch]:
    """Yield one crop of each of some images, without resampling: the centre, if not another.

    Args:
        images: of any split.
        recipe: for image_size.
        mean: of each channel, of pixels from 0 to 1.
        std: standard deviation, the same way.
        orders: int64 (b,), which images are in each batch.
        view: where the crops lie, and whether they are mirrored.

    Yields:
        float32 (b, 3, image_size, image_size), channels last, and int64 (b,) labels.

    Raises:
        DataError: the images are smaller than `image_size`.
    """
    size = recipe.image_size
    _check_size(images, size)
    normalise = _Normaliser(mean, std, images.device)
    cut = partial(centre_crops, size=size)
    for order in orders:
        boxes = view.boxes(images.sizes[order], size)
        draws = Draws(order, boxes, torch.full((len(order),), view.mirrored))
        yield normalise(images.crops(draws, cut)), images.labels_of(order)


def _on_device(canvas: Pixels, device: torch.device | str) -> Tensor:
    """Copy a canvas (m, H, W, 3) to a device, channels first, without a second whole copy."""
    n, height, width, channels = canvas.shape
    found = torch.empty((n, channels, height, width), dtype=torch.uint8, device=device)
    step = max(1, _CHUNK // (height * width * channels))
    for start in range(0, n, step):
        part = np.array(canvas[start : start + step].transpose(0, 3, 1, 2), order="C")
        found[start : start + step] = torch.from_numpy(part)
    return found


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
