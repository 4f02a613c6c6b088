"""How many images `tlsearch check` takes for copies that are none, and how many copies it finds.

    .venv/bin/python bench/duplicates.py [--shared /work/shared/data] [--images 600]

Prints two tables in Markdown, those of docs/data.md. False pairs: all pairs of images of a set,
without those of the same content. Recall: each image against a changed copy of itself.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tlsearch.data.catalog import load_catalog
from tlsearch.data.decode import open_rgb
from tlsearch.data.likeness import (
    MOST_BITS,
    MOST_COLOUR,
    Likeness,
    colours_of,
    hash_signs,
    likeness_of,
)
from tlsearch.data.reading import read_all
from tlsearch.data.references import ImageRef
from tlsearch.spec import DataSpec

BITS = (0, 2, 4, 6, 8, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("/work/shared/data"))
    parser.add_argument("--images", type=int, default=600, help="of each set, for the recall")
    options = parser.parse_args()
    sets = {
        "emoji (64 px)": DataSpec(path=str(options.shared / "emoji")),
        "fashion-mnist-30 (28 px)": DataSpec(path="builtin:fashion-mnist-30"),
        "Fashion-MNIST, 6,000 (28 px)": DataSpec(
            path=str(options.shared / "fashion-mnist"),
            train_per_class=500, val_per_class=50, test_per_class=50,
        ),
    }  # fmt: skip
    print("| set, pairs | |", *(f"<= {bits} |" for bits in BITS))
    print("|---|---|" + "---|" * len(BITS))
    loaded = {name: images_of(spec) for name, spec in sets.items()}
    for name, (refs, images) in loaded.items():
        print_false_pairs(name, refs, [likeness_of(image) for image in images])
    print()
    for name, (_, images) in list(loaded.items())[:2]:
        print_recall(name, images[: options.images])


def images_of(spec: DataSpec) -> tuple[list[ImageRef], list[Image.Image]]:
    catalog = load_catalog(spec)
    refs = [*catalog.train, *catalog.val, *catalog.test]
    images, problems = read_all(refs, open_rgb)
    assert not problems
    return refs, images


def print_false_pairs(name: str, refs: list[ImageRef], likenesses: list[Likeness]) -> None:
    signs, colours = hash_signs(likenesses), colours_of(likenesses)
    contents = np.array([hash(ref.digest()) for ref in refs])
    by_hash, by_both = np.zeros(65, np.int64), np.zeros(65, np.int64)
    for k in range(1, len(refs)):
        apart = ((64 - signs[:k] @ signs[k]) / 2).astype(int)
        others = np.flatnonzero((contents[:k] != contents[k]) & (apart <= max(BITS)))
        colour = np.abs(colours[others] - colours[k]).mean(axis=1)
        by_hash += np.bincount(apart[others], minlength=65)
        by_both += np.bincount(apart[others[colour <= MOST_COLOUR]], minlength=65)
    pairs = len(refs) * (len(refs) - 1) // 2
    for what, counts in ((f"{name}, {pairs:,}", by_hash), ("", by_both)):
        also = "hash" if counts is by_hash else "and colours"
        print(f"| {what} | {also} |", *(f"{counts[: bits + 1].sum():,} |" for bits in BITS))


def print_recall(name: str, images: list[Image.Image]) -> None:
    print(f"| {name}, {len(images)} images | found |\n|---|---|")
    before = [likeness_of(image) for image in images]
    for what, change in CHANGES.items():
        after = [likeness_of(change(image)) for image in images]
        apart = (64 - (hash_signs(before) * hash_signs(after)).sum(axis=1)) / 2
        colour = np.abs(colours_of(before) - colours_of(after)).mean(axis=1)
        found = (apart <= MOST_BITS) & (colour <= MOST_COLOUR)
        print(f"| {what} | {found.mean():.1%} |")


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def scaled(image: Image.Image, scale: float) -> Image.Image:
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 90": lambda image: as_jpeg(image, 90),
    "JPEG of quality 75": lambda image: as_jpeg(image, 75),
    "JPEG of quality 50": lambda image: as_jpeg(image, 50),
    "half the size": lambda image: scaled(image, 0.5),
    "1.5 times the size": lambda image: scaled(image, 1.5),
    "half the size, JPEG of quality 75": lambda image: as_jpeg(scaled(image, 0.5), 75),
    "5 % darker": lambda image: image.point(lambda value: round(0.95 * value)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


if __name__ == "__main__":
    main()
