"""Turns loaded images of any mode into RGB, and notes how much of the range their values use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlsearch.data.depth import (
    Samples,
    Values,
    grey_values,
    low_bytes_mode,
    scale_of,
    signed_bytes,
    to_bytes,
)
from tlsearch.data.likeness import Likeness
from tlsearch.data.orientation import leave_as_stored
from tlsearch.data.packed_files import PackedFile, to_open

_PNG_GREYS = {"L;2": 85, "L;4": 17}  # Pillow scales these values, but not the transparent one
_WITH_ALPHA = ("LA", "RGBA")
_SMALL_SHARE = {True: 2, False: 4}  # by deep: values below one part in so many are few


@dataclass(frozen=True, slots=True)
class Used:
    """How much of their range the values of an image use.

    Attributes:
        largest: value in the file.
        white: the value that becomes white.
        known: whether the file or the user says how many bits are used.
    """

    largest: int
    white: int
    known: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an image tells.

    Attributes:
        height, width: once it is upright, pixels.
        used: how much of the range its values use.
        likeness: what those that look like it have in common with it.
    """

    height: int
    width: int
    used: Used
    likeness: Likeness


def deep_grey_to_rgb(
    image: Image.Image, samples: Samples, bits: int | None
) -> tuple[Image.Image, Used]:
    """Convert grey of more than eight bits."""
    values = grey_values(image, samples)
    scale = scale_of(samples, values, bits)
    grey = to_bytes(values, scale.most)
    if samples.white_is_zero:
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    used = Used(int(values.max(initial=0)), scale.most, scale.known)
    return Image.fromarray(grey).convert("RGB"), used


def needs_all_bits(image: Image.Image, samples: Samples, bits: int | None) -> bool:
    """Whether the upper eight bits of a colour image of 16 do not suffice."""
    if not samples.deep or _low_mode(image, samples) is None:
        return False
    asked = samples.bits is not None or (bits is not None and bits < 16)
    return asked or isinstance(image.info.get("transparency"), tuple)


def deep_colours_to_rgb(
    image: Image.Image, path: Path | PackedFile, samples: Samples, bits: int | None
) -> tuple[Image.Image, Used]:
    """Convert colours of 16 bits; reads the file once more, for the lower byte of each value."""
    low_mode = _low_mode(image, samples)
    assert low_mode is not None
    low = _read_as(path, low_mode)
    high = np.asarray(image)
    if samples.rawmode.startswith("LA"):  # low is L and alpha, two bytes each
        low = np.repeat(low[..., 1:2], 3, axis=2)
    values = high[..., :3].astype(np.int64) << 8 | low[..., :3]
    scale = scale_of(samples, values, bits)
    colours = to_bytes(values, scale.most)
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple):
        colours[(values == transparent).all(axis=2)] = 255
    if high.shape[2] == 4:
        colours = np.dstack([colours, high[..., 3]])
    used = Used(int(values.max(initial=0)), scale.most, scale.known)
    return _on_white(Image.fromarray(colours)), used


def eight_bits_to_rgb(
    image: Image.Image, samples: Samples, bits: int | None
) -> tuple[Image.Image, Used]:
    """Convert an image of which Pillow has at most eight bits a value."""
    if image.format == "PNG" and samples.rawmode in _PNG_GREYS:
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            image.info["transparency"] = transparent * _PNG_GREYS[samples.rawmode]
    white = 255
    if samples.signed and image.mode == "L":
        values, white = signed_bytes(image), 127
        image = Image.fromarray(to_bytes(values, white))
    largest = _largest(image) * white // 255
    unit = 257 if samples.deep else 1  # Pillow has the upper eight bits
    if bits is not None and samples.bits is None and 2**bits - 1 < unit * white:
        image, white = _brightened(image, 2**bits - 1, unit), 2**bits - 1
    elif samples.deep:
        white *= unit
    used = Used(largest * unit, white, samples.bits is not None or bits is not None)
    return _on_white(image), used


def narrow_range(looks: Sequence[Look]) -> str | None:
    """Say that images use a small part of the range of values, and what to do; None = they do not.

    A set is looked at whole: one dark image says nothing.
    """
    said = []
    for deep in (True, False):
        group = [each.used for each in looks if not each.used.known and _is_deep(each) == deep]
        if not group:
            continue
        largest, white = (max(getattr(u, name) for u in group) for name in ("largest", "white"))
        if largest * _SMALL_SHARE[deep] <= white:
            said.append(_narrow(len(group), largest, white))
    return "; ".join(said) or None


def _is_deep(look: Look) -> bool:
    return look.used.white > 255


def _narrow(n: int, largest: int, white: int) -> str:
    what = "1 image has" if n == 1 else f"{n} images have"
    if largest == 0:
        return f"{what} no pixel that is not black; check how they were made"
    bits = largest.bit_length()
    return (
        f"{what} values of 0 to {largest} where {white} would be white, and come out dark; if "
        f"{2**bits - 1} is white there, set data.bit_depth = {bits}"
    )


def _low_mode(image: Image.Image, samples: Samples) -> str | None:
    if samples.rawmode == "LA;16B" and image.mode == "RGBA":
        return "RGBA"  # of as many bytes
    return low_bytes_mode(samples.rawmode)


def _read_as(path: Path | PackedFile, rawmode: str) -> Values:
    """Read a file's pixels in another of Pillow's raw modes."""
    with Image.open(to_open(path)) as image:
        tiles: list[Any] = []
        for tile in image.tile:
            name, extents, offset, args = tile
            args = (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode
            made = (name, extents, offset, args)
            tiles.append(type(tile)(*made) if hasattr(tile, "_fields") else made)
        image.tile = tiles
        leave_as_stored(image)
        image.load()
        return np.asarray(image).astype(np.int64)


def _largest(image: Image.Image) -> int:
    if image.mode not in ("L", "RGB"):
        return 255  # of palettes, inks and transparent images it says nothing
    counts = np.array(image.histogram()).reshape(-1, 256)  # faster than getextrema
    return int(np.flatnonzero(counts.sum(axis=0)).max())


def _brightened(image: Image.Image, most: int, unit: int) -> Image.Image:
    """Scale values so that `most` becomes white; leaves palettes and inks alone."""
    table = to_bytes(np.arange(256, dtype=np.int64) * unit, most).tolist()
    bands = len(image.getbands())
    if image.mode in ("L", "RGB"):
        return image.point(table * bands)
    if image.mode in _WITH_ALPHA:
        return image.point(table * (bands - 1) + list(range(256)))
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """Convert to RGB, with white behind transparent pixels."""
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return image.convert("RGB")
