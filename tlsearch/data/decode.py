"""Decodes any image to RGB and resizes it to the size in the cache."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tlsearch.data.reading import UnreadableImageError
from tlsearch.data.references import ImageRef, Pixels

MAX_ASPECT = 2
ARRAY_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def stored_size(image_size: int, eval_crop: float) -> int:
    """Return the shorter side of images in the cache, pixels.

    A centre crop of `image_size` pixels is then `eval_crop` of the shorter side.
    """
    return math.ceil(image_size / eval_crop - 1e-6)  # 21 / 0.7 comes out a little above 30


def decode(ref: ImageRef, short_side: int) -> Pixels:
    """Decode an image and fit it.

    Returns:
        uint8 (h, w, 3), RGB; see `fit`.

    Raises:
        Exception: of nearly any type, where the file is broken; call it through `read_all`.
    """
    return np.asarray(fit(open_rgb(ref), short_side))


def check_readable(ref: ImageRef) -> None:
    """Decode an image without keeping it; raises what `decode` raises."""
    open_rgb(ref)


def open_rgb(ref: ImageRef) -> Image.Image:
    """Decode the first frame to RGB: full size, upright, with white behind transparent pixels."""
    if isinstance(ref.source, Path):
        with Image.open(ref.source) as image:
            image.load()
            return to_rgb(_upright(image))
    channels = ref.source.shape[2] if ref.source.ndim == 3 else 1
    shape = ref.source.shape if channels > 1 else ref.source.shape[:2]
    mode = ARRAY_MODES[channels]
    size = (shape[1], shape[0])
    return to_rgb(Image.frombytes(mode, size, ref.source.tobytes()))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB; scales 16-bit grey, puts white behind transparency."""
    if image.mode == "F":
        raise UnreadableImageError("has floating-point pixels")
    if image.mode.startswith("I"):
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    elif image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return image.convert("RGB")


def fit(image: Image.Image, short_side: int) -> Image.Image:
    """Resize (bicubic, antialiased) to a shorter side of `short_side` pixels.

    Keeps the aspect ratio; where it is above 2:1, crops the longer side to its middle first.
    """
    image = _crop_to_aspect(image)
    width, height = image.size
    scale = short_side / min(width, height)
    size = (round(width * scale), round(height * scale))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels can be good although the EXIF block is damaged
        return image


def _to_eight_bits(grey: NDArray[np.generic]) -> Pixels:
    """Scale 0..65535 to 0..255; Pillow also opens some 16-bit files as 32-bit integers."""
    values = grey.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableImageError("has 32-bit pixels")
    return ((values + 128) // 257).astype(np.uint8)


def _crop_to_aspect(image: Image.Image) -> Image.Image:
    width, height = image.size
    new_width, new_height = min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
    if (new_width, new_height) == image.size:
        return image
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return image.crop((left, top, left + new_width, top + new_height))
