"""The images that a user gives: files, folders, Pillow's images and arrays."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlsearch.data.decode import open_rgb, rgb_of
from tlsearch.data.packed_files import PackedFile
from tlsearch.data.reading import Unread, read_each
from tlsearch.data.references import ImageRef, PassedOver, Pixels
from tlsearch.data.scan import CLASSES, Scan
from tlsearch.errors import DataError
from tlsearch.predict.exported import Preprocessing
from tlsearch.predict.preprocess import centre_crop

ImageLike = str | PathLike[str] | PackedFile | Image.Image | NDArray[np.uint8]

# Pillow reads an opened picture when it is asked; two threads at once spoil it for each other.
_ONE_PICTURE = Lock()
_SMALLER_BATCH = "give a smaller batch size, or take a machine with more memory"
_ENDINGS = "images are found by their endings, such as .jpg and .png"


@dataclass(frozen=True, slots=True, eq=False)
class GivenImage:
    """One image as it was given.

    Attributes:
        place: its path as given, or `image 3`.
        source: the file, the picture, or the pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
    """

    place: str
    source: Path | PackedFile | Image.Image | Pixels


def given_images(images: ImageLike | Iterable[ImageLike]) -> list[GivenImage]:
    """Name what a user gave: one image or several, and a folder for all images in it.

    Raises:
        DataError: something is no image by its type or shape, or a folder has none.
    """
    if isinstance(images, str | PathLike | PackedFile | Image.Image):
        images = [images]
    if isinstance(images, np.ndarray) and images.ndim < 4:
        images = [images]
    return [each for n, image in enumerate(images) for each in _given(n, image)]


def images_in(folder: Path) -> tuple[list[Path], tuple[PassedOver, ...]]:
    """Find the images in a folder and those inside, sorted by their paths.

    Returns:
        The images, and what was passed over.

    Raises:
        DataError: it has none, or cannot be read.
    """
    scan = Scan(folder, CLASSES)
    try:
        found = sorted(scan.images(folder, scan.folder_ids(folder)))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its rights") from None
    if not found:
        raise DataError(f"{folder}: no image in it; {_ENDINGS}")
    return found, scan.passed()


def crops_of(images: list[GivenImage], preprocessing: Preprocessing) -> list[Pixels | Unread]:
    """Decode, resize and crop images, in threads.

    Returns:
        For each image, in order, uint8 (size, size, 3), or why it could not be read.
    """

    def read(image: GivenImage) -> Pixels:
        return centre_crop(_rgb(image, preprocessing.bit_depth), preprocessing)

    return read_each(images, read, _SMALLER_BATCH)


def _given(number: int, image: object) -> Iterator[GivenImage]:
    if isinstance(image, str | PathLike):
        path = Path(fspath(image))
        if path.is_dir():
            yield from (GivenImage(str(each), each) for each in images_in(path)[0])
        else:
            yield GivenImage(fspath(image), path)
    elif isinstance(image, Image.Image):
        yield GivenImage(getattr(image, "filename", "") or f"image {number}", image)
    elif isinstance(image, PackedFile):
        yield GivenImage(f"image {number}", image)
    else:
        yield GivenImage(f"image {number}", _checked(number, image))


def _checked(number: int, image: object) -> Pixels:
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"image {number} is a {type(image).__name__}; give a path, a Pillow image, or a uint8 "
            "array (height, width, 3)"
        )
    shape = image.shape
    channels = {2: 1, 3: shape[-1] if shape else 0}.get(image.ndim, 0)
    if image.dtype != np.uint8 or channels not in (1, 3, 4) or 0 in shape:
        raise DataError(
            f"image {number} is an array {shape} of {image.dtype}; give uint8 (height, width, 3) "
            "with values from 0 to 255"
        )
    return image


def _rgb(image: GivenImage, bits: int | None) -> Image.Image:
    if isinstance(image.source, Image.Image):
        with _ONE_PICTURE:
            return rgb_of(image.source, bits)
    return open_rgb(ImageRef(image.place, 0, image.source, bits))
