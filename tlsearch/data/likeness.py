"""What images that look alike have in common: a perceptual hash and a few colours.

The hash is pHash, as Zauner, "Implementation and benchmarking of perceptual image hash functions"
(2010), section 3.2.1: which of the 64 lowest coefficients of the discrete cosine transform of a
grey 32 x 32 thumbnail are above their median. It does not see colours, and of plain images it sees
nothing, so the colours of an 8 x 8 thumbnail stand beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_BITS = 4  # that differ, of 64
MOST_COLOUR = 4.0  # mean difference of the colours, of 255
COLOURS = 8 * 8 * 3

_SIDE, _LOW = 32, 8
_DCT = np.cos(math.pi / _SIDE * np.outer(np.arange(_LOW), np.arange(_SIDE) + 0.5))


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of one image.

    Attributes:
        hash: 64 bits.
        colours: of the 8 x 8 thumbnail, RGB, row by row.
    """

    hash: int
    colours: bytes


def likeness_of(image: Image.Image) -> Likeness:
    """Look at an RGB image; its size and shape do not count."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    grey = np.asarray(small.convert("L"), dtype=np.float64)
    low = (_DCT @ grey @ _DCT.T).round(3).reshape(-1)
    bits = np.packbits(low > np.median(low[1:]))
    colours = np.asarray(small.resize((8, 8), Image.Resampling.BOX))
    return Likeness(int.from_bytes(bits.tobytes(), "big"), colours.tobytes())


def hash_signs(likenesses: Sequence[Likeness]) -> NDArray[np.float32]:
    """Return the bits of the hashes as -1 and 1 (n, 64).

    Where d bits of two differ, their product is 64 - 2d.
    """
    words = np.array([each.hash for each in likenesses], dtype=">u8")
    bits = np.unpackbits(words.view(np.uint8)).reshape(-1, 64)
    return 2 * bits.astype(np.float32) - 1


def colours_of(likenesses: Sequence[Likeness]) -> NDArray[np.int16]:
    """Return the colours (n, 192)."""
    found = np.frombuffer(b"".join(each.colours for each in likenesses), dtype=np.uint8)
    return found.reshape(-1, COLOURS).astype(np.int16)
