"""The held-out images: hieroglyphs as line drawings, by Gardiner's category (see README.md)."""

import hashlib
import re
import subprocess
import tarfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .places import Absent

PACKAGE, VERSION = "@fontsource/noto-sans-egyptian-hieroglyphs", "5.3.0"
SHA256 = "9f7757a8e9aab4b8063f6b70f91c48cd24076ae62cd46e2b98e0071c83704a5a"
_TARBALL = f"fontsource-noto-sans-egyptian-hieroglyphs-{VERSION}.tgz"
_FONT = "package/files/noto-sans-egyptian-hieroglyphs-egyptian-hieroglyphs-400-normal.woff"

CATEGORIES = {
    "A": "man",
    "D": "parts of the body",
    "E": "mammals",
    "F": "parts of mammals",
    "G": "birds",
    "M": "plants",
    "N": "sky, earth and water",
    "O": "buildings",
    "S": "crowns and dress",
    "T": "warfare and hunting",
    "U": "agriculture and crafts",
    "V": "rope, baskets and bags",
}
TRAIN_PER_CLASS, VAL_PER_CLASS = 24, 10
SEED = 0
SIDE, LONGER_SIDE = 96, 88  # of the square and of the sign in it, pixels
_FONT_SIZE = 256
_BLOCK = range(0x13000, 0x13430)  # Unicode's Egyptian Hieroglyphs

Pixels = NDArray[np.uint8]


def names_by_category() -> dict[str, list[str]]:
    """Return Unicode's names of the signs of each category, in Unicode's order."""
    found: dict[str, list[str]] = {category: [] for category in CATEGORIES}
    for code in _BLOCK:
        name = unicodedata.name(chr(code), "")
        match = re.fullmatch(r"EGYPTIAN HIEROGLYPH ([A-Z]+)\d+[A-Z]*", name)
        if match and match[1] in found:
            found[match[1]].append(name)
    return found


def split(names: Sequence[str]) -> dict[str, list[str]]:
    """Split the signs of a category into `train`, `val` and `test`."""
    shuffled = sorted(names, key=lambda name: hashlib.sha256(f"{SEED}/{name}".encode()).digest())
    first, last = TRAIN_PER_CLASS, TRAIN_PER_CLASS + VAL_PER_CLASS
    return {"train": shuffled[:first], "val": shuffled[first:last], "test": shuffled[last:]}


def drawn(font: ImageFont.FreeTypeFont, name: str) -> Pixels:
    """Draw a sign: uint8 (SIDE, SIDE), black on white, centred."""
    sign = unicodedata.lookup(name)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(sign))
    image = Image.new("L", (right - left, bottom - top), 255)
    ImageDraw.Draw(image).text((-left, -top), sign, font=font, fill=0)
    scale = LONGER_SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    square = Image.new("L", (SIDE, SIDE), 255)
    corner = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    square.paste(image.resize(size, Image.Resampling.LANCZOS), corner)
    return np.asarray(square)


def arrays(folder: Path) -> dict[str, NDArray[np.generic]]:
    """Return images and labels of the three splits, drawn with the package's font.

    Args:
        folder: where the package is kept.

    Raises:
        Absent: the package cannot be fetched, or is not the one that was chosen.
    """
    font = ImageFont.truetype(str(_font(folder)), _FONT_SIZE)
    found: dict[str, NDArray[np.generic]] = {"class_names": np.array(list(CATEGORIES.values()))}
    splits = [split(names) for names in names_by_category().values()]
    for part in ("train", "val", "test"):
        images = [drawn(font, name) for each in splits for name in each[part]]
        labels = [label for label, each in enumerate(splits) for _ in each[part]]
        found |= {f"x_{part}": np.stack(images), f"y_{part}": np.array(labels)}
    return found


def _font(folder: Path) -> Path:
    tarball = folder / _TARBALL
    if not tarball.exists():
        _fetch(folder)
    found = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if found != SHA256:
        raise Absent(f"{tarball} has the SHA-256 {found} instead of {SHA256}: delete it")
    with tarfile.open(tarball) as archive:
        archive.extract(_FONT, folder, filter="data")
    return folder / _FONT


def _fetch(folder: Path) -> None:
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--silent"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"npm cannot fetch {PACKAGE} {VERSION}: {error}") from None
    if done.returncode:
        raise Absent(f"npm cannot fetch {PACKAGE} {VERSION}: {done.stderr.strip()[-300:]}")
