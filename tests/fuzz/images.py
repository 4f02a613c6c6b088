"""Odd and damaged image files, made from a seed: of every format that Pillow reads and writes."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.unit.data.made_files import BROKEN, oriented
from tests.unit.data.test_data_decode import UPRIGHT

MODES = ("RGB", "L", "RGBA", "P", "1", "LA", "CMYK", "I;16", "YCbCr", "I", "F", "PA")
FORMATS = {  # those that Pillow both writes and reads, with an ending that is read
    "AVIF": "avif", "BMP": "bmp", "DIB": "dib", "GIF": "gif", "JPEG": "jpg", "JPEG2000": "jp2",
    "MPO": "jpg", "PCX": "pcx", "PNG": "png", "PPM": "ppm", "QOI": "qoi", "SGI": "sgi",
    "TGA": "tga", "TIFF": "tif", "WEBP": "webp", "ICO": "png", "ICNS": "png", "DDS": "png",
    "IM": "png", "MSP": "png", "SPIDER": "png", "XBM": "png", "EPS": "png", "PDF": "png",
    "BLP": "png",
}  # fmt: skip
LOSSLESS = frozenset({"BMP", "DIB", "PNG", "TIFF", "TGA", "QOI", "PPM", "SGI", "PCX"})
OF_EXIF = frozenset({"JPEG", "PNG", "WEBP", "TIFF", "MPO"})


@dataclass(frozen=True)
class OddImage:
    """A file that may be an image.

    Attributes:
        content: of the file.
        ending: of its name.
        what: how it was made.
        pixels: (h, w, 3) that it must come out as; None where that is not known.
    """

    content: bytes
    ending: str
    what: str
    pixels: np.ndarray | None


def odd_image(seed: int) -> OddImage:
    """Make a file; the same seed makes the same one."""
    rng = random.Random(seed)
    image, kind, orientation, content = _written(rng)
    name, damage = rng.choice(DAMAGES)
    damaged = damage(content, rng)
    whole = damaged == content and kind in LOSSLESS and image.mode in ("RGB", "L")
    pixels = UPRIGHT[orientation](np.asarray(image.convert("RGB"))) if whole else None
    ending = FORMATS[kind] if rng.random() < 0.85 else rng.choice(list(FORMATS.values()))
    return OddImage(damaged, ending, f"{kind} {image.mode} {image.size} {name}", pixels)


def _written(rng: random.Random) -> tuple[Image.Image, str, int, bytes]:
    """Write an image in a format and a mode that go together; returns how it lies, too."""
    while True:
        kind, mode, orientation = rng.choice(list(FORMATS)), rng.choice(MODES), rng.randint(1, 8)
        image, out = _image(rng, mode), io.BytesIO()
        options = _options(rng, kind, orientation)
        try:
            image.save(out, format=kind, **options)
        except Exception:  # Pillow does not write this mode, or not with these options
            continue
        return (
            image,
            kind,
            orientation if {"exif", "tiffinfo"} & set(options) else 1,
            out.getvalue(),
        )


def _image(rng: random.Random, mode: str) -> Image.Image:
    width, height = (rng.choice([1, 2, 3, 7, 16, 33, 64, 200, 400]) for _ in range(2))
    numbers = np.random.default_rng(rng.getrandbits(32))
    if mode == "I;16":
        return Image.fromarray(numbers.integers(0, 65536, (height, width)).astype(np.uint16))
    if mode in ("I", "F"):
        values = numbers.normal(0, 10.0 ** rng.randint(0, 8), (height, width))
        return Image.fromarray(values.astype(np.int32 if mode == "I" else np.float32))
    colours = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(colours)
    if mode in ("RGBA", "LA", "PA"):
        image.putalpha(Image.fromarray(colours[..., 0]))
    if mode == "PA":
        return image.convert("RGB").convert("P").convert("PA")
    return image.convert(mode)


def _options(rng: random.Random, kind: str, orientation: int) -> dict[str, object]:
    options: dict[str, object] = {}
    if kind in OF_EXIF and rng.random() < 0.5:
        order = rng.choice("<>")
        block = oriented(
            orientation, rng.choice(list(BROKEN.values())) if order == "<" else [], order
        )
        if kind == "TIFF":
            options["tiffinfo"] = {274: orientation}
        else:
            options["exif"] = block if rng.random() < 0.5 else b"Exif\0\0" + block
    if kind == "TIFF":
        options["compression"] = rng.choice(
            [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4", "webp", "zstd"]
        )
    if kind in ("JPEG", "MPO"):
        options["progressive"] = rng.random() < 0.3
        options["quality"] = rng.choice([1, 50, 95])
    if kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF") and rng.random() < 0.2:
        options["save_all"] = True
        options["append_images"] = [Image.new("RGB", (5, 9)), Image.new("L", (40, 2))]
    if rng.random() < 0.1:
        options["icc_profile"] = rng.randbytes(rng.choice([0, 7, 128, 3000]))
    return options


def _truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _head_changed(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 2, 8])):
        changed[rng.randrange(min(len(changed), 120))] = rng.choice([0, 1, 127, 128, 255])
    return bytes(changed)


def _span_lost(content: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(content))
    return content[:begin] + content[begin + rng.randrange(200) :]


def _span_zero(content: bytes, rng: random.Random) -> bytes:
    begin, n = rng.randrange(len(content)), rng.randrange(300)
    return content[:begin] + bytes(len(content[begin : begin + n])) + content[begin + n :]


def _spliced(content: bytes, rng: random.Random) -> bytes:
    *_, other = _written(rng)
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def _lengths_huge(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(max(1, min(len(content), 400) - 4))
    return content[:place] + rng.choice([b"\xff" * 4, b"\x7f" + b"\xff" * 3]) + content[place + 4 :]


DAMAGES: tuple[tuple[str, Callable[[bytes, random.Random], bytes]], ...] = (
    ("whole", lambda content, _: content),
    ("whole", lambda content, _: content),
    ("with more behind", lambda content, rng: content + rng.randbytes(rng.randrange(1, 500))),
    ("with more before", lambda content, rng: rng.randbytes(rng.randrange(1, 9)) + content),
    ("truncated", _truncated),
    ("with flipped bits", _flipped),
    ("with a changed head", _head_changed),
    ("with a span lost", _span_lost),
    ("with a span of zeros", _span_zero),
    ("spliced", _spliced),
    ("with huge lengths", _lengths_huge),
    ("empty", lambda *_: b""),
    ("replaced by noise", lambda content, rng: rng.randbytes(len(content))),
)
