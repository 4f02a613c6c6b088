"""Makes JPEG files as large as photographs, of which the classes can be learnt.

A file shows one of the 500 shipped images of Fashion-MNIST (10 classes, 28 x 28), enlarged and
tinted, before a piece of one of scikit-learn's two sample photographs, with smooth and fine noise
over all. The longer side is 500 pixels. Image number n is the same bytes on every machine with the
same Pillow and numpy: all that is drawn depends on n alone.
"""

import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from sklearn.datasets import load_sample_images

from tlsearch.data import load_catalog
from tlsearch.spec import DataSpec

from .places import home

VERSION = 1  # raise it when other bytes come out
LONGER, SHORTER = 500, (333, 376)  # pixels; the shorter side is drawn
ITEM_SHARE = (0.72, 0.92)  # of the shorter side
QUALITY = 90  # of the JPEG files
COPIES_EVERY = 100  # of the files for `check`, one is another one again, saved at COPY_QUALITY
COPY_QUALITY = 80

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """A small grey image and its class."""

    pixels: Bytes
    label: int


def for_trials(n_train: int, n_val: int) -> Path:
    """Return a folder with `train` and `val`, made if need be."""
    folder = home() / f"trials-{n_train}-{n_val}-v{VERSION}"
    places = [folder / "train" / f"{n}" for n in range(n_train)]
    places += [folder / "val" / f"{n}" for n in range(n_train, n_train + n_val)]
    return _made(folder, places)


def for_reading(n: int) -> Path:
    """Return a folder with n files, one folder a class, made if need be.

    Every hundredth file is the one before it again, saved at another quality.
    """
    folder = home() / f"reading-{n}-v{VERSION}"
    return _made(folder, [folder / f"{number}" for number in range(n)])


def write(places: Iterable[Path], every: int = 0) -> None:
    """Write files: `FOLDER/NUMBER` becomes `FOLDER/CLASS/NUMBER.jpg`.

    Args:
        places: folder and number of each.
        every: each file whose number ends such a row is the one before it again; 0 = none.
    """
    for place in places:
        number = int(place.name)
        again = every > 0 and number % every == every - 1
        image, label = picture(number - again)
        folder = place.parent / f"{label}"
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number:05}.jpg", quality=COPY_QUALITY if again else QUALITY)


def picture(number: int) -> tuple[Image.Image, int]:
    """Return an image and its class."""
    draw = np.random.default_rng([VERSION, number])
    item = _items()[number % len(_items())]
    height = int(draw.integers(*SHORTER))
    size = (LONGER, height) if draw.random() < 0.7 else (height, LONGER)
    background = _piece(draw, size)
    side = int(height * draw.uniform(*ITEM_SHARE))
    grey = Image.fromarray(item.pixels).resize((side, side), Image.Resampling.BICUBIC)
    left, top = (int(draw.integers(0, free + 1)) for free in (size[0] - side, size[1] - side))
    tint = Image.merge("RGB", [grey.point(_scaled(draw.uniform(0.5, 1.0))) for _ in range(3)])
    background.paste(tint, (left, top), grey.point(_mask()))
    return _noisy(draw, background), item.label


def _scaled(factor: float) -> list[int]:
    return [int(60 + value * 0.75 * factor) for value in range(256)]


def _mask() -> list[int]:
    """Return how much an item covers by its brightness: its black surroundings do not."""
    return [min(255, value * 6) for value in range(256)]


def _piece(draw: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return a piece of a photograph, darkened."""
    photo = _photos()[int(draw.integers(len(_photos())))]
    share = draw.uniform(0.6, 1.0) * min(photo.width / size[0], photo.height / size[1])
    width, height = int(size[0] * share), int(size[1] * share)
    left = int(draw.integers(0, photo.width - width + 1))
    top = int(draw.integers(0, photo.height - height + 1))
    box = (left, top, left + width, top + height)
    piece = photo.resize(size, Image.Resampling.BICUBIC, box)
    return piece.point([int(value * 0.6) for value in range(256)] * 3)


def _noisy(draw: np.random.Generator, image: Image.Image) -> Image.Image:
    coarse = Image.fromarray(draw.integers(0, 50, (8, 8, 3), dtype=np.uint8))
    smooth = coarse.resize(image.size, Image.Resampling.BICUBIC)
    x, y = (int(draw.integers(0, _noise().size[k] - image.size[k])) for k in range(2))
    fine = _noise().crop((x, y, x + image.width, y + image.height))
    return ImageChops.add(ImageChops.add(image, smooth), fine, offset=-8)


@cache
def _noise() -> Image.Image:
    fine = np.random.default_rng(VERSION).normal(8, 4, (900, 900, 1)).clip(0, 16)
    return Image.fromarray(np.repeat(fine.astype(np.uint8), 3, axis=2))


@cache
def _photos() -> list[Image.Image]:
    return [Image.fromarray(photo) for photo in load_sample_images().images]


@cache
def _items() -> list[Item]:
    """Return the shipped images, class by turn."""
    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
    n_classes = len(catalog.class_names)
    of_class: list[list[Item]] = [[] for _ in range(n_classes)]
    for ref in (*catalog.train, *catalog.val):
        assert isinstance(ref.source, np.ndarray)  # the shipped images are an array
        assert isinstance(ref.label, int)  # and each is of one class
        of_class[ref.label].append(Item(ref.source.reshape(ref.source.shape[:2]), ref.label))
    return [item for row in zip(*of_class, strict=True) for item in row]


def _made(folder: Path, places: list[Path]) -> Path:
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    places = [unfinished / place.relative_to(folder) for place in places]
    every = COPIES_EVERY if folder.name.startswith("reading") else 0
    parts = [places[start : start + 200] for start in range(0, len(places), 200)]
    with ProcessPoolExecutor(2) as processes:
        list(processes.map(partial(write, every=every), parts))
    unfinished.rename(folder)
    return folder
