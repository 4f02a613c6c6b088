"""The decoded images for training and validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.references import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Decoded images of one split; the arrays are read-only.

    Attributes:
        pixels: uint8 (n, H, W, 3), RGB; a canvas of the size of the largest image, with each
            image in the top left corner and zeros in the rest.
        sizes: int32 (n, 2), height and width of each image, pixels.
        labels: int64 (n,), indices into the class names.
    """

    pixels: Pixels
    sizes: NDArray[np.int32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The part of a data set that a search may use: no test images.

    Attributes:
        class_names: in the order of the labels.
        fingerprint: of its catalog.
        train: the images for training.
        val: the images for validation.
    """

    class_names: tuple[str, ...]
    fingerprint: str
    train: ImageSet
    val: ImageSet


def on_canvas(images: Sequence[Pixels]) -> tuple[Pixels, NDArray[np.int32]]:
    """Return the pixels (n, H, W, 3) and sizes (n, 2) of an `ImageSet`."""
    sizes = np.array([image.shape[:2] for image in images], dtype=np.int32)
    height, width = sizes.max(axis=0)
    canvas = np.zeros((len(images), height, width, 3), dtype=np.uint8)
    for slot, image in zip(canvas, images, strict=True):
        slot[: image.shape[0], : image.shape[1]] = image
    return canvas, sizes


def image_set(pixels: Pixels, sizes: NDArray[np.int32], labels: Sequence[int]) -> ImageSet:
    """Build an `ImageSet` and make its arrays read-only."""
    found = ImageSet(pixels, sizes, np.array(labels, dtype=np.int64))
    for array in (found.pixels, found.sizes, found.labels):
        array.setflags(write=False)
    return found
