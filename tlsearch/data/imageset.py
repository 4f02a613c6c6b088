"""The decoded images for training and validation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.references import ImageRef, Pixels

_STEPS = 8  # canvases for each shorter side that an image's longer side may exceed it by
_LITTLE = 1.1  # times the bytes of the images: so much may one canvas for all of them take


class Canvases(tuple[Pixels, ...]):
    """Arrays that share the images of a split, each uint8 (m, H, W, 3), RGB.

    Each is as large as the largest of its images; each image is in the top left corner of its
    row, with zeros in the rest.
    """

    __slots__ = ()

    @property
    def nbytes(self) -> int:
        """What they take in memory, here or on a device."""
        return sum(canvas.nbytes for canvas in self)

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each."""
        return tuple(canvas.shape for canvas in self)


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Decoded images of one split; the arrays are read-only.

    Images of like shapes share a canvas, so that few panoramas do not enlarge all the others.

    Attributes:
        pixels: canvases, each uint8 (m, H, W, 3).
        places: int32 (n, 2), for each image its canvas, and its row there.
        sizes: int32 (n, 2), height and width of each image, pixels.
        labels: int64 (n,), indices into the class names; of several labels an image (n,
            n_classes), 1 where the image has the label and 0 elsewhere.
        weights: float32 (n,), how much each counts in the loss; None = all alike.
    """

    pixels: Canvases
    places: NDArray[np.int32]
    sizes: NDArray[np.int32]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def joined(self, others: "ImageSet") -> "ImageSet":
        """Return these images and then others, without copying pixels."""
        shift = np.array([len(self.pixels), 0], np.int32)
        weights = None
        if self.weights is not None and others.weights is not None:
            weights = np.concatenate([self.weights, others.weights])
        return ImageSet(
            Canvases((*self.pixels, *others.pixels)),
            np.concatenate([self.places, others.places + shift]),
            np.concatenate([self.sizes, others.sizes]),
            np.concatenate([self.labels, others.labels]),
            weights,
        )

    def image(self, index: int) -> Pixels:
        """Return one image, uint8 (h, w, 3)."""
        (canvas, row), (height, width) = self.places[index], self.sizes[index]
        image: Pixels = self.pixels[canvas][row, :height, :width]
        return image


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The part of a data set that a search may use: no test images.

    Attributes:
        class_names: in the order of the labels.
        fingerprint: of its catalog.
        train: the images for training.
        val: the images for validation.
        clean: training images at the size of validation, where that differs and they are needed.
        folds: int64 (n,), of each image, where each is validated once; `train` and `val` are then
            the same n images. None = there are no folds.
    """

    class_names: tuple[str, ...]
    fingerprint: str
    train: ImageSet
    val: ImageSet
    clean: ImageSet | None = None
    folds: NDArray[np.int64] | None = None


def labels_of(refs: Sequence[ImageRef], n_classes: int) -> NDArray[np.int64]:
    """Return the labels of images, as `ImageSet.labels`."""
    if not any(isinstance(ref.label, tuple) for ref in refs):
        return np.array([ref.label for ref in refs], dtype=np.int64)
    found = np.zeros((len(refs), n_classes), dtype=np.int64)
    for row, ref in enumerate(refs):
        found[row, list(ref.classes)] = 1
    return found


def image_set(
    canvases: Sequence[Pixels],
    places: NDArray[np.int32],
    sizes: NDArray[np.int32],
    labels: Sequence[int] | NDArray[np.int64],
) -> ImageSet:
    """Build an `ImageSet` and make its arrays read-only."""
    found = ImageSet(Canvases(canvases), places, sizes, np.array(labels, dtype=np.int64))
    for array in (*found.pixels, found.places, found.sizes, found.labels):
        array.setflags(write=False)
    return found


def packed(images: list[Pixels], labels: Sequence[int] | NDArray[np.int64]) -> ImageSet:
    """Put images (h, w, 3) on canvases; empties the list on the way, to keep memory low."""
    sizes = np.array([image.shape[:2] for image in images], dtype=np.int32).reshape(-1, 2)
    places = places_of(sizes)
    shapes = canvas_shapes(places, sizes)
    canvases = [np.zeros(shape, dtype=np.uint8) for shape in shapes]
    for index, (canvas, row) in reversed(list(enumerate(places.tolist()))):
        image = images.pop()
        height, width = sizes[index]
        canvases[canvas][row, :height, :width] = image
    return image_set(canvases, places, sizes, labels)


def places_of(sizes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the canvas and the row (n, 2) of each image, from its height and width (n, 2).

    Images whose sides are equal to an eighth of the shortest side of all share a canvas. Where one
    canvas for all would take little more than the images, there is one.
    """
    groups = np.zeros(len(sizes), dtype=np.int64)
    if not _fit_on_one(sizes):
        step = max(1, int(sizes.min()) // _STEPS)
        _, groups = np.unique(-(-sizes // step), axis=0, return_inverse=True)
        groups = groups.reshape(-1)
    places = np.zeros((len(sizes), 2), dtype=np.int32)
    places[:, 0] = groups
    for group in range(int(groups.max(initial=-1)) + 1):
        members = groups == group
        places[members, 1] = np.arange(members.sum())
    return places


def canvas_shapes(
    places: NDArray[np.int32], sizes: NDArray[np.int32]
) -> list[tuple[int, int, int, int]]:
    """Return the shape (m, H, W, 3) of each canvas."""
    return list(_shapes(places[:, 0], sizes))


def canvas_bytes(sizes: NDArray[np.int32]) -> int:
    """Return what images of these heights and widths (n, 2) take once they are decoded."""
    shapes = canvas_shapes(places_of(sizes), sizes)
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)


def _shapes(
    groups: NDArray[np.int32], sizes: NDArray[np.int32]
) -> Iterator[tuple[int, int, int, int]]:
    for group in range(int(groups.max(initial=-1)) + 1):
        members = sizes[groups == group]
        height, width = members.max(axis=0).tolist()
        yield len(members), height, width, 3


def _fit_on_one(sizes: NDArray[np.int32]) -> bool:
    if len(sizes) == 0:
        return True
    areas = sizes.astype(np.int64).prod(axis=1)
    largest = sizes.max(axis=0).astype(np.int64).prod()
    return bool(len(sizes) * largest <= _LITTLE * areas.sum())
