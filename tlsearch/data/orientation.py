"""How an image lies, by the one tag that says so, whatever is broken beside it.

Pillow parses every tag before it can be asked for one, stops at the first that leads outside of
the file, and writes all of them back once it has turned the image.
"""

import re
import struct
from collections.abc import Iterator

from PIL import Image, TiffImagePlugin

_TAG = 0x0112
_PREFIX = b"Exif\0\0"
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # TIFF 6.0, section 2
_XMP = re.compile(rb'tiff:Orientation\s*(?:=\s*["\']|>)\s*([1-8])')
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def leave_as_stored(image: Image.Image) -> None:
    """Keep Pillow from turning a TIFF, and from parsing all of its tags, as it is loaded."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        image.load_end = lambda: setattr(image, "_size", image.im.size)  # type: ignore[method-assign]


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image that was loaded as it is stored; `orientation` is what its tag says, 1 to 8."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def orientation_of(image: Image.Image) -> int:
    """Return the orientation that an opened image's EXIF says, else its XMP, else 1."""
    for block in _exif_blocks(image):
        if (found := exif_orientation(block)) is not None:
            return found
    for name in ("XML:com.adobe.xmp", "xmp"):
        text = image.info.get(name, b"")
        text = text.encode("utf-8", "replace") if isinstance(text, str) else text
        if isinstance(text, bytes) and (match := _XMP.search(text)):
            return int(match[1])
    return 1


def exif_orientation(block: bytes) -> int | None:
    """Return the orientation, 1 to 8, of the first directory of a TIFF structure.

    Args:
        block: of an EXIF block, with or without its prefix, or of a TIFF file.

    Returns:
        The last valid tag's value; None where there is none.
    """
    while block.startswith(_PREFIX):
        block = block[len(_PREFIX) :]
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    big = 43 in (block[2:3] + block[3:4])
    try:
        values = list(_orientations(block, order, big))
    except struct.error:  # the directory is not where it should be
        return None
    return values[-1] if values else None


def _orientations(block: bytes, order: str, big: bool) -> Iterator[int]:
    header, count, entry, value = (8, "Q", "HHQ", 12) if big else (4, "H", "HHI", 8)
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), block, header)
    (n_entries,) = struct.unpack_from(order + count, block, start)
    start += struct.calcsize(order + count)
    size = 20 if big else 12
    for place in range(start, min(start + n_entries * size, len(block) - size + 1), size):
        tag, kind, n_values = struct.unpack_from(order + entry, block, place)
        if tag == _TAG and n_values >= 1 and kind in _INTEGERS:
            (found,) = struct.unpack_from(order + _INTEGERS[kind], block, place + value)
            if found in range(1, 9):
                yield found


def _exif_blocks(image: Image.Image) -> Iterator[bytes]:
    exif = image.info.get("exif")
    if isinstance(exif, bytes):
        yield exif
    text = image.info.get("Raw profile type exif")  # of PNGs that ImageMagick wrote
    if isinstance(text, str):
        digits = re.sub(r"[^0-9a-fA-F]", "", "".join(text.split("\n")[3:]))
        yield bytes.fromhex(digits[: len(digits) // 2 * 2])
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.fp is not None:
        place = image.fp.tell()
        image.fp.seek(0)
        yield image.fp.read()
        image.fp.seek(place)
