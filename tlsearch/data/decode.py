"""Decodes any image to RGB and resizes it to the size in the cache."""

from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from tlsearch.data.colours import (
    Look,
    Used,
    deep_colours_to_rgb,
    deep_grey_to_rgb,
    eight_bits_to_rgb,
    needs_all_bits,
)
from tlsearch.data.depth import Samples, samples_of
from tlsearch.data.fitting import fit
from tlsearch.data.formats import register_all
from tlsearch.data.likeness import likeness_of
from tlsearch.data.orientation import leave_as_stored, orientation_of, upright
from tlsearch.data.packed_files import PackedFile, to_open
from tlsearch.data.reading import UnreadableImageError
from tlsearch.data.references import ImageRef, Pixels
from tlsearch.records.resize import Resize

ARRAY_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def decode_and_look(ref: ImageRef, short_side: int, resize: Resize) -> tuple[Pixels, Look]:
    """Do as `decode` and as `look_at`, at once."""
    image, look = _opened(ref)
    return np.asarray(fit(image, short_side, resize)), look


def decode(ref: ImageRef, short_side: int, resize: Resize = "timm") -> Pixels:
    """Decode an image and fit it.

    Returns:
        uint8 (h, w, 3), RGB; see `fit`.

    Raises:
        Exception: of nearly any type, where the file is broken; call it through `read_all`.
    """
    return np.asarray(fit(open_rgb(ref), short_side, resize))


def look_at(ref: ImageRef) -> Look:
    """Decode an image without keeping it; raises what `decode` raises."""
    return _opened(ref)[1]


def open_rgb(ref: ImageRef) -> Image.Image:
    """Decode the first frame to RGB: full size, upright, with white behind transparent pixels."""
    return _opened(ref)[0]


def rgb_of(image: Image.Image, bits: int | None = None) -> Image.Image:
    """Do as `open_rgb` with an image that Pillow has opened; the image stays as it is.

    Of colours of 16 bits Pillow hands on the upper eight, so all 16 need the file.

    Args:
        image: loaded or not.
        bits: how many bits its values use; None = all.
    """
    samples = samples_of(image, None)
    turned = isinstance(image, TiffImagePlugin.TiffImageFile)  # as Pillow loads it
    orientation = 1 if turned else orientation_of(image)
    image.load()
    copy = image.copy()
    copy.format = image.format
    if copy.mode == "F":
        raise UnreadableImageError("has floating-point pixels")
    to_rgb = deep_grey_to_rgb if copy.mode.startswith("I") else eight_bits_to_rgb
    return upright(to_rgb(copy, samples, bits)[0], orientation)


def _opened(ref: ImageRef) -> tuple[Image.Image, Look]:
    if isinstance(ref.source, Path | PackedFile):
        image, used = _of_file(ref.source, ref.bits)
    else:
        image, used = _of_array(ref)
    return image, Look(image.height, image.width, used, likeness_of(image))


def _of_array(ref: ImageRef) -> tuple[Image.Image, Used]:
    assert not isinstance(ref.source, Path | PackedFile)
    channels = ref.source.shape[2] if ref.source.ndim == 3 else 1
    shape = ref.source.shape if channels > 1 else ref.source.shape[:2]
    size = (shape[1], shape[0])
    image = Image.frombytes(ARRAY_MODES[channels], size, ref.source.tobytes())
    return eight_bits_to_rgb(image, Samples("", deep=False), ref.bits)


def _open(path: Path | PackedFile) -> Image.Image:
    """Open a file, with the help of other packages where Pillow does not know its format."""
    try:
        return Image.open(to_open(path))
    except UnidentifiedImageError:
        if not register_all():
            raise
        return Image.open(to_open(path))


def _of_file(path: Path | PackedFile, bits: int | None) -> tuple[Image.Image, Used]:
    with _open(path) as image:
        samples, orientation = samples_of(image, path), orientation_of(image)
        leave_as_stored(image)
        image.load()
        if image.mode == "F":
            raise UnreadableImageError("has floating-point pixels")
        if image.mode.startswith("I"):
            rgb, used = deep_grey_to_rgb(image, samples, bits)
        elif needs_all_bits(image, samples, bits):
            rgb, used = deep_colours_to_rgb(image, path, samples, bits)
        else:
            rgb, used = eight_bits_to_rgb(image, samples, bits)
        return upright(rgb, orientation), used
