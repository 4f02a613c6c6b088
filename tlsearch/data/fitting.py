"""The size that an image has in the cache, and where its centre crop lies.

`Resize` says by which rule. `timm`: sizes and centre are those of timm's evaluation transform,
which is torchvision's `Resize` and `CenterCrop`, so that plain timm sees what validation saw.
`rounded`: those of tlsearch 0.1 and 0.2, whose studies keep them.
"""

import math

from PIL import Image

from tlsearch.records.resize import Resize

MAX_ASPECT = 2
_LARGEST_WHOLE = 1 << 24  # pixels


def stored_size(image_size: int, eval_crop: float) -> int:
    """Return the shorter side of images in the cache, pixels.

    A centre crop of `image_size` pixels is then `eval_crop` of the shorter side.
    """
    return math.ceil(image_size / eval_crop - 1e-6)  # 21 / 0.7 comes out a little above 30


def fitted_size(width: int, height: int, short_side: int, resize: Resize) -> tuple[int, int]:
    """Return the width and height that `fit` makes of an image's, pixels."""
    if resize == "rounded":
        width, height = _within_aspect(width, height)
        scale = short_side / min(width, height)
        return round(width * scale), round(height * scale)
    whole = _whole_size(width, height, short_side)
    return whole[0] - 2 * _cut(whole[0], short_side), whole[1] - 2 * _cut(whole[1], short_side)


def fit(image: Image.Image, short_side: int, resize: Resize) -> Image.Image:
    """Resize (bicubic, antialiased) to a shorter side of `short_side` pixels.

    Keeps the aspect ratio; of an image longer than 2:1, the middle of the longer side is left.
    """
    if resize == "timm":
        return _cut_to_aspect(image, short_side)
    image = _crop_to_aspect(image)
    return _resized(image, fitted_size(*image.size, short_side, resize))


def before_centre(margin: int, resize: Resize) -> int:
    """Return how much of the margin about a centre crop is above it, or on its left, pixels.

    Of an odd margin `rounded` leaves one more below. So does `timm`, but for margins of 3, 7, 11
    and so on, because Python rounds 1.5 and 3.5 to even numbers.
    """
    return margin // 2 + (resize == "timm" and margin % 4 == 3)


def _whole_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Return what torchvision's `Resize` makes of an image: it cuts the longer side to an int."""
    longer = int(short_side * max(width, height) / min(width, height))
    return (short_side, longer) if width <= height else (longer, short_side)


def _cut(side: int, short_side: int) -> int:
    """Return what is cut at either end of a side for 2:1; even, so that the centre stays one."""
    return 2 * max(0, math.ceil((side - MAX_ASPECT * short_side) / 4))


def _cut_to_aspect(image: Image.Image, short_side: int) -> Image.Image:
    """Resize the whole image, then cut it: the pixels of torchvision's `Resize` to the last bit.

    Of an image that would become huge, the part that is left is resized alone. Pillow may take its
    two directions in the other order then, which changes some pixels by a few grey levels.
    """
    whole = _whole_size(*image.size, short_side)
    left, top = (_cut(side, short_side) for side in whole)
    right, bottom = whole[0] - left, whole[1] - top
    if whole[0] * whole[1] <= _LARGEST_WHOLE:
        resized = _resized(image, whole)
        return resized.crop((left, top, right, bottom)) if left or top else resized
    x, y = image.width / whole[0], image.height / whole[1]
    part = (left * x, top * y, right * x, bottom * y)
    return image.resize((right - left, bottom - top), Image.Resampling.BICUBIC, part)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _crop_to_aspect(image: Image.Image) -> Image.Image:
    width, height = image.size
    new_width, new_height = _within_aspect(width, height)
    if (new_width, new_height) == image.size:
        return image
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return image.crop((left, top, left + new_width, top + new_height))


def _within_aspect(width: int, height: int) -> tuple[int, int]:
    return min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
