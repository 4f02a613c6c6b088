"""A small set of images with several labels: patches of three colours on noise."""

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("blue", "green", "red")


def write_set(folder: Path, n: int = 120, seed: int = 0) -> Path:
    """Write n images of 32 pixels and a manifest, `photos.csv`; an eighth has no label."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    lines = ["path,label"]
    for k in range(n):
        has = generator.random(3) < 0.5
        pixels = generator.integers(60, 140, (32, 32, 3))
        for channel in np.flatnonzero(has):
            top, left = generator.integers(0, 22, 2)
            pixels[top : top + 10, left : left + 10] = 0
            pixels[top : top + 10, left : left + 10, 2 - channel] = 255
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
        lines.append(f"{k}.png,{'|'.join(np.array(NAMES)[has])}")
    path = folder / "photos.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
