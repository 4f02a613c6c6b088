"""Yields normalised batches from uint8 images: on the device, or mapped from the cache's file.

On a CPU images stay in the file, which all workers of a host map, so they are in its memory once. A
GPU holds its own copy where that fits; otherwise it gets those of each batch.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from functools import partial

import torch
from torch import Tensor

from tlsearch.data.augment import augment, draw_augmentations
from tlsearch.data.crops import Draws, centre_crops, centred, draw_epoch, resampled_crops
from tlsearch.data.erasing import draw_erasures, erase
from tlsearch.data.image_weights import weighted_labels
from tlsearch.data.imageset import ImageSet
from tlsearch.data.on_device import copied, fits
from tlsearch.data.references import Pixels
from tlsearch.data.views import CENTRE, View
from tlsearch.errors import DataError
from tlsearch.spec import RecipeSpec

Batch = tuple[Tensor, Tensor]


class DeviceImages:
    """The images of a split, for batches on a device.

    Attributes:
        device: where batches are made.
        pixels: canvases; see `ImageSet.pixels`. Each is uint8 (m, 3, H, W) on the device, or as
            the set has it, (m, H, W, 3) on the host.
        places: int64 (n, 2) on the CPU: for each image its canvas, and its row there.
        labels: int64 (n,) on the device.
        host_labels: the same on the CPU.
        weights: float32 (n,) on the device: how much each counts in the loss; None = all alike.
        sizes: int64 (n, 2) on the CPU, where crops are drawn: height and width, pixels.

    Args:
        images: the images.
        device: where batches are made.
        on_device: whether a copy of the pixels lies there; None = on a GPU, where they fit.
    """

    def __init__(
        self, images: ImageSet, device: torch.device | str, *, on_device: bool | None = None
    ) -> None:
        self.device = torch.device(device)
        self.pixels: tuple[Tensor | Pixels, ...] = images.pixels
        if fits(images, self.device) if on_device is None else on_device:
            with suppress(torch.OutOfMemoryError):  # another program took the room meanwhile
                self.pixels = tuple(copied(canvas, self.device) for canvas in images.pixels)
        self.host_labels = torch.tensor(images.labels)
        self.labels = self.host_labels.to(self.device)
        weights = images.weights
        self.weights = None if weights is None else torch.tensor(weights, device=self.device)
        self.places = torch.tensor(images.places, dtype=torch.int64)
        self.sizes = torch.tensor(images.sizes, dtype=torch.int64)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def image(self, index: int) -> Pixels:
        """Return one image on the CPU, uint8 (h, w, 3)."""
        (canvas, row), (height, width) = self.places[index].tolist(), self.sizes[index].tolist()
        pixels = self.pixels[canvas][row]
        if isinstance(pixels, Tensor):
            pixels = pixels.permute(1, 2, 0).cpu().numpy()
        found: Pixels = pixels[:height, :width]
        return found

    def labels_of(self, order: Tensor) -> Tensor:
        """Return the labels (b,) on the device of some images (b,), which are on the CPU."""
        return self.labels[order.to(self.device, non_blocking=True)]

    def joined(self, others: "DeviceImages") -> "DeviceImages":
        """Return these images and then others for the same device, without copying pixels."""
        found = copy(self)
        found.pixels = self.pixels + others.pixels
        shift = torch.tensor([len(self.pixels), 0])
        found.places = torch.cat([self.places, others.places + shift])
        found.sizes = torch.cat([self.sizes, others.sizes])
        found.labels = torch.cat([self.labels, others.labels])
        found.host_labels = torch.cat([self.host_labels, others.host_labels])
        if self.weights is not None and others.weights is not None:
            found.weights = torch.cat([self.weights, others.weights])
        return found

    def taken(self, which: Tensor) -> "DeviceImages":
        """Return some images, int64 (m,) on the CPU, without copying pixels."""
        found = copy(self)
        found.places, found.sizes = self.places[which], self.sizes[which]
        found.labels, found.host_labels = self.labels_of(which), self.host_labels[which]
        if self.weights is not None:
            found.weights = self.weights[which.to(self.device)]
        return found

    def to(self, device: torch.device | str) -> "DeviceImages":
        """Return the same images on another device."""
        found = copy(self)
        found.device = torch.device(device)
        found.pixels = tuple(
            canvas.to(device) if isinstance(canvas, Tensor) else canvas for canvas in self.pixels
        )
        found.labels = self.labels.to(device)
        found.weights = None if self.weights is None else self.weights.to(device)
        return found

    def crops(self, draws: Draws, cut: Callable[[Tensor, Draws], Tensor]) -> Tensor:
        """Cut the crops of a batch, canvas by canvas, and return them in the batch's order.

        Args:
            draws: b images, boxes and flips, on the CPU.
            cut: gets uint8 pixels (m, 3, H, W) and the draws for them, whose `order` are rows
                there, both on the device.

        Returns:
            (b, 3, size, size), of the type that `cut` returns.
        """
        canvas_of, rows = self.places[draws.order].unbind(1)
        draws = Draws(rows, draws.boxes, draws.flips)
        if len(self.pixels) == 1:
            return self._cut(0, draws, cut)
        used = sorted(set(canvas_of.tolist()))
        slots = [(canvas_of == canvas).nonzero().squeeze(1) for canvas in used]
        parts = [
            self._cut(canvas, draws.taken(slot), cut)
            for canvas, slot in zip(used, slots, strict=True)
        ]
        back = torch.cat(slots).argsort().to(self.device, non_blocking=True)
        return torch.cat(parts)[back]

    def _cut(self, canvas: int, draws: Draws, cut: Callable[[Tensor, Draws], Tensor]) -> Tensor:
        pixels = self.pixels[canvas]
        if not isinstance(pixels, Tensor):
            taken = torch.from_numpy(pixels[draws.order.numpy()])
            pixels = taken.permute(0, 3, 1, 2).contiguous()
            if self.device.type == "cuda":
                pixels = pixels.pin_memory()
            pixels = pixels.to(self.device, non_blocking=True)
            draws = Draws(torch.arange(len(pixels)), draws.boxes, draws.flips)
        return cut(pixels, draws.to(self.device))


def train_batches(
    images: DeviceImages,
    recipe: RecipeSpec,
    mean: Sequence[float],
    std: Sequence[float],
    epoch: int,
    n_classes: int | None = None,
) -> Iterator[Batch]:
    """Yield the sampled, cropped, flipped and augmented batches of an epoch.

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
        n_classes: where it is given, labels are those of `weighted_labels`.

    Yields:
        float32 (b, 3, image_size, image_size), channels last, and int64 (b,) labels.

    Raises:
        DataError: the images are smaller than `image_size`.
    """
    size = recipe.image_size
    _check_size(images, size)
    whole = recipe.crop_scale is not None and recipe.crop_scale.low == 1
    normalise = _Normaliser(mean, std, images.device)
    draws = draw_epoch(images.sizes, recipe, epoch, images.host_labels)
    if whole:
        boxes = centred(images.sizes[draws.order], size, recipe.resize)
        draws = Draws(draws.order, boxes, draws.flips)
    cut = partial(centre_crops if whole else resampled_crops, size=size)
    augmentations = draw_augmentations(len(images), recipe, epoch)
    erasures = draw_erasures(len(images), recipe, epoch).to(images.device, non_blocking=True)
    for number, batch in enumerate(draws.batches(recipe.batch_size)):
        rows = slice(number * len(batch.order), (number + 1) * len(batch.order))
        pixels = images.crops(batch, cut)
        pixels = normalise(augment(pixels, augmentations.rows(rows)))
        if recipe.erasing:
            pixels = erase(pixels, erasures[rows])
        labels = images.labels_of(batch.order)
        if n_classes is not None and images.weights is not None:
            labels = weighted_labels(labels, images.weights, batch.order, n_classes)
        yield pixels, labels


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
        recipe: for image_size and resize.
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
        recipe: for image_size and resize.
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
        boxes = view.boxes(images.sizes[order], size, recipe.resize)
        draws = Draws(order, boxes, torch.full((len(order),), view.mirrored))
        yield normalise(images.crops(draws, cut)), images.labels_of(order)


class _Normaliser:
    """Turns pixels from 0 to 255 into `(pixel / 255 - mean) / std`."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        means, stds = (torch.tensor(list(v), dtype=torch.float64) for v in (mean, std))
        self.scale = (1 / (255 * stds)).float().view(1, 3, 1, 1).to(device, non_blocking=True)
        self.shift = (-means / stds).float().view(1, 3, 1, 1).to(device, non_blocking=True)

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
