"""Samples of more or fewer than eight bits: what a file says of them, and how they become eight.

Pillow keeps the upper eight bits of colours of 16, and hands on grey values of 16 as they are.
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from tlsearch.data.packed_files import PackedFile
from tlsearch.data.reading import UnreadableImageError
from tlsearch.data.references import Pixels

Values = NDArray[np.int64]

_PNG = b"\x89PNG\r\n\x1a\n"
_LITTLE = sys.byteorder == "little"
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if _LITTLE else "L"}
_PHOTOMETRIC, _BITS, _SAMPLE_FORMAT = 262, 258, 339
_MAXIMA = (281, 341)  # MaxSampleValue, SMaxSampleValue
_SIGNED = 2


@dataclass(frozen=True, slots=True)
class Samples:
    """What a file says of its samples.

    Attributes:
        rawmode: Pillow's word for how they are stored; "" where it has none.
        deep: whether they have more than eight bits.
        bits: how many of those bits the file says are used; None where it does not say.
        signed: whether they may be below zero.
        white_is_zero: of grey samples of more than eight bits; Pillow inverts the others itself.
        justified: whether values that do not use all bits are the upper ones, by the format.
    """

    rawmode: str
    deep: bool
    bits: int | None = None
    signed: bool = False
    white_is_zero: bool = False
    justified: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """How values become 0 to 255.

    Attributes:
        most: the value of white.
        known: whether the file or the user says so; otherwise it is all that the type can hold.
    """

    most: int
    known: bool


def samples_of(image: Image.Image, path: Path | PackedFile | None) -> Samples:
    """Read what an opened file that is not loaded yet says of its samples."""
    rawmode, extra = _tile(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _tiff_samples(image, rawmode)
    deep = image.mode.startswith("I") or ";16" in rawmode or extra > 255
    if image.format == "PNG" and deep and path is not None:
        return Samples(rawmode, deep, _significant_bits(path), justified=True)
    if image.format == "PPM" and extra not in (0, 255, 65535):  # Pillow scales it
        return Samples(rawmode, deep, 16)
    return Samples(rawmode, deep)


def low_bytes_mode(rawmode: str) -> str | None:
    """Return the raw mode that reads the lower byte of colours of 16 bits; None for others."""
    if rawmode in ("RGB;16B", "RGB;16L", "RGB;16N", "RGBA;16B", "RGBA;16L", "RGBA;16N"):
        return rawmode[:-1] + _OTHER_BYTE[rawmode[-1]]
    return None


def scale_of(samples: Samples, values: Values, user_bits: int | None) -> Scale:
    """Decide what white is: by the file, else by the user, else by the type.

    Args:
        samples: what the file says.
        values: all values of the image.
        user_bits: `data.bit_depth`.
    """
    limit = 15 if samples.signed else 16
    bits = samples.bits
    if bits is not None and samples.justified and not _is_low(values, bits, limit):
        bits = None  # its values use the upper bits, as the format wants
        user_bits = None
    if bits is not None:
        return Scale(2**bits - 1, True)
    if user_bits is not None and user_bits < limit:
        return Scale(2**user_bits - 1, True)
    return Scale(2**limit - 1, samples.bits is not None)


def grey_values(image: Image.Image, samples: Samples) -> Values:
    """Return the values of a loaded grey image of more than eight bits.

    Raises:
        UnreadableImageError: they are below zero, or need more than 16 bits.
    """
    values = np.asarray(image).astype(np.int64)
    if samples.signed:
        _check_not_negative(values, 16)
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise UnreadableImageError("has 32-bit pixels")
    return values


def signed_bytes(image: Image.Image) -> Values:
    """Return the values of a grey image of eight bits with a sign.

    Raises:
        UnreadableImageError: some are below zero.
    """
    values = np.asarray(image).astype(np.uint8).view(np.int8).astype(np.int64)
    _check_not_negative(values, 8)
    return values


def to_bytes(values: Values, most: int) -> Pixels:
    """Scale 0 to `most` to 0 to 255, rounded; values above become 255."""
    clipped = np.minimum(values, most)
    return ((2 * 255 * clipped + most) // (2 * most)).astype(np.uint8)


def _check_not_negative(values: Values, bits: int) -> None:
    if values.min(initial=0) < 0:
        raise UnreadableImageError(
            f"has signed {bits}-bit pixels below 0; save them as unsigned ones"
        )


def _is_low(values: Values, bits: int, limit: int) -> bool:
    """Whether values are in the lower bits, where the format wants them in the upper ones.

    A value that was scaled up to all bits is 0 in the lowest ones, or repeats its upper ones
    there; one that is small is 0 there.
    """
    unused = limit - bits
    if unused <= 0:
        return False
    return bool(values.max(initial=0) < 2**bits and (values & (2**unused - 1)).any())


def _tile(image: Image.Image) -> tuple[str, int]:
    """Return Pillow's raw mode, and the largest value that a PPM says (else 0)."""
    for tile in getattr(image, "tile", ()):
        name, args = tile[0], tile[3]
        parts = args if isinstance(args, tuple) else (args,)
        rawmode = parts[0] if parts and isinstance(parts[0], str) else ""
        if name == "SGI16":
            return f"{rawmode};16", 0
        if name in ("ppm", "ppm_plain") and len(parts) > 1 and isinstance(parts[1], int):
            return rawmode, parts[1]
        return rawmode, 0
    return "", 0


def _tiff_samples(image: TiffImagePlugin.TiffImageFile, rawmode: str) -> Samples:
    tags = image.tag_v2
    bits = max(_integers(tags, _BITS), default=1)
    signed = _SIGNED in _integers(tags, _SAMPLE_FORMAT)
    deep = bits > 8
    white_is_zero = deep and 0 in _integers(tags, _PHOTOMETRIC)
    used = bits if 8 < bits < 16 else None
    for tag in _MAXIMA:
        for most in _integers(tags, tag):
            if deep and 255 < most < 2**bits - 1 and most & (most + 1) == 0:
                used = most.bit_length()
    return Samples(rawmode, deep, used, signed, white_is_zero)


def _integers(tags: TiffImagePlugin.ImageFileDirectory_v2, tag: int) -> tuple[int, ...]:
    """Return the whole numbers of a tag; none where it is missing or broken."""
    try:
        found = tags.get(tag, ())
    except Exception:  # tags are parsed when they are asked for
        return ()
    values = found if isinstance(found, tuple) else (found,)
    return tuple(value for value in values if isinstance(value, int))


def _significant_bits(path: Path | PackedFile) -> int | None:
    """Return what the sBIT chunk of a PNG says of its samples, where that is 1 to 15."""
    with path.open("rb") as file:
        if file.read(8) != _PNG:
            return None
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"sBIT":
                found = max(file.read(min(length, 4)), default=0)
                return found if 0 < found < 16 else None
            if kind == b"IDAT":
                break
            file.seek(length + 4, 1)
    return None
