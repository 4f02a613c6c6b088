"""Decodes a catalog once and stores the images in the user's cache folder."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from tlsearch.data.cachefile import read_arrays, write_arrays
from tlsearch.data.colours import Look, Used
from tlsearch.data.decode import decode_and_look, look_at
from tlsearch.data.fitting import stored_size
from tlsearch.data.image_weights import with_weights
from tlsearch.data.imageset import (
    ImageSet,
    TrainingData,
    canvas_shapes,
    image_set,
    labels_of,
    packed,
)
from tlsearch.data.likeness import Likeness, colours_of
from tlsearch.data.memory import FEWER_IMAGES, check_room, enough_memory
from tlsearch.data.reading import Unread, counted_within, read_all, unreadable
from tlsearch.data.references import TRAIN, VAL, Catalog, ImageRef, Pixels
from tlsearch.records.resize import Resize

VERSION = 2  # raise it when decoding or the names of the arrays change

_LOOKS = frozenset({"looks", "tests", "hashes", "colours"})
_SUFFIXES: dict[Resize, str] = {"rounded": "", "timm": "-timm"}
_PART = 200  # images that are decoded before their memory is counted
Sets = tuple[ImageSet, ImageSet]  # train and val


def load_training_data(
    catalog: Catalog, image_size: int, eval_crop: float, resize: Resize = "timm"
) -> TrainingData:
    """Decode the training and validation images, or map them from the cache.

    The shorter side of each image becomes `stored_size(image_size, eval_crop)` pixels. A damaged
    cache file is written again; if a file cannot be written, there is no cache.

    Args:
        catalog: the images; its test images are not decoded.
        image_size: side of the square that the network sees, pixels.
        eval_crop: that side as a share of the shorter side, in (0, 1].
        resize: by which rule images get their size.

    Raises:
        DataError: images cannot be read; the message counts those of all splits.
    """
    path = _path(catalog, image_size, eval_crop, resize)
    sets = _read(path, catalog)
    if sets is None:
        sets, _ = _decode(catalog, stored_size(image_size, eval_crop), resize)
        _keep(path, sets)
        sets = _read(path, catalog) or sets  # mapped, they take no memory of their own
    train, val = with_weights(sets, catalog)
    if catalog.folds is None:
        return TrainingData(catalog.class_names, catalog.fingerprint, train, val)
    both, folds = train.joined(val), np.array(catalog.folds, np.int64)
    return TrainingData(catalog.class_names, catalog.fingerprint, both, both, folds=folds)


def read_once(
    catalog: Catalog, image_size: int, eval_crop: float, resize: Resize = "timm"
) -> list[Look]:
    """Decode every image, test images too, unless that was done before, and keep what is needed.

    Training and validation images go into the cache, as by `load_training_data`; of all images it
    is kept how they look.

    Returns:
        How the images for training, validation and testing look, in this order.

    Raises:
        DataError: some cannot be read; the message names the first five and says how many.
    """
    path = _path(catalog, image_size, eval_crop, resize)
    tests, problems = read_all(catalog.test, ImageRef.digest)
    if problems:
        raise unreadable(problems)
    seen = _read_looks(path, catalog, tests)
    if seen is not None and _read(path, catalog) is not None:
        return seen
    sets, looks = _decode(catalog, stored_size(image_size, eval_crop), resize)
    _keep(path, sets)
    found, problems = read_all(catalog.test, look_at)
    if problems:
        raise unreadable(problems)
    _keep_looks(path, [*looks, *found], tests)
    return [*looks, *found]


def cache_folder() -> Path:
    """Return the folder of decoded data sets; users may delete it at any time."""
    return user_cache_path("tlsearch") / "datasets"


def features_folder() -> Path:
    """Return the folder of computed features; users may delete it at any time."""
    return user_cache_path("tlsearch") / "features"


def _path(catalog: Catalog, image_size: int, eval_crop: float, resize: Resize) -> Path:
    size = f"{stored_size(image_size, eval_crop)}{_SUFFIXES[resize]}"
    return cache_folder() / f"{catalog.fingerprint}-{size}-v{VERSION}.safetensors"


def _decode(catalog: Catalog, short_side: int, resize: Resize) -> tuple[Sets, list[Look]]:
    refs = [*catalog.train, *catalog.val]
    labels = labels_of(refs, len(catalog.class_names))
    n_train = len(catalog.train)
    with enough_memory("for the decoded images", FEWER_IMAGES):
        images, looks, problems = _decode_all(
            refs, partial(decode_and_look, short_side=short_side, resize=resize)
        )
        if problems:
            raise unreadable(problems + read_all(catalog.test, look_at)[1])
        val_images, images[n_train:] = images[n_train:], []
        sets = packed(images, labels[:n_train]), packed(val_images, labels[n_train:])
        return sets, looks


def _decode_all(
    refs: list[ImageRef], read: Callable[[ImageRef], tuple[Pixels, Look]]
) -> tuple[list[Pixels], list[Look], list[Unread]]:
    """Decode in parts; refuse as soon as the images so far say that not all of them fit."""
    images: list[Pixels] = []
    looks: list[Look] = []
    problems: list[Unread] = []
    for start in range(0, len(refs), _PART):
        part = refs[start : start + _PART]
        with counted_within(start, len(refs)):
            found, failed = read_all(part, read)
        images += [image for image, _ in found]
        looks += [look for _, look in found]
        problems += failed
        taken = sum(image.nbytes for image in images)
        left = len(refs) - start - _PART
        if images and left > 0:
            check_room(left * taken // len(images), "for the decoded images", FEWER_IMAGES)
    return images, looks, problems


def _looks_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-looks{path.suffix}")


def _keep_looks(path: Path, looks: list[Look], tests: list[bytes]) -> None:
    rows = [[k.height, k.width, k.used.largest, k.used.white, k.used.known] for k in looks]
    arrays: dict[str, NDArray[Any]] = {"looks": np.array(rows, np.int64)}
    arrays["hashes"] = np.array([k.likeness.hash for k in looks], np.uint64)
    arrays["colours"] = colours_of([k.likeness for k in looks]).astype(np.uint8)
    arrays["tests"] = _content_of(tests)
    with suppress(OSError):
        write_arrays(_looks_path(path), arrays)


def _read_looks(path: Path, catalog: Catalog, tests: list[bytes]) -> list[Look] | None:
    """Return how the images look, if this was kept of the very same ones."""
    found = read_arrays(_looks_path(path))
    n_images = len(catalog.train) + len(catalog.val) + len(catalog.test)
    if found is None or set(found) != _LOOKS:
        return None
    if len(found["looks"]) != n_images or not np.array_equal(found["tests"], _content_of(tests)):
        return None
    alike = map(Likeness, found["hashes"].tolist(), map(bytes, found["colours"]))
    return [
        Look(h, w, Used(most, white, bool(known)), likeness)
        for (h, w, most, white, known), likeness in zip(found["looks"].tolist(), alike, strict=True)
    ]


def _content_of(tests: list[bytes]) -> NDArray[np.uint8]:
    """Hash the content of the test images, which is not in the fingerprint."""
    return np.frombuffer(hashlib.sha256(b"".join(tests)).digest(), np.uint8)


def _keep(path: Path, sets: Sets) -> None:
    with suppress(OSError, MemoryError):  # without a cache file the next worker decodes again
        write_arrays(path, _arrays(sets))
        for former in path.parent.glob(f"{path.stem.rpartition('-v')[0]}-v*{path.suffix}"):
            if former not in (path, _looks_path(path)):
                former.unlink(missing_ok=True)


def _arrays(sets: Sets) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for split, images in zip((TRAIN, VAL), sets, strict=True):
        arrays |= {f"{split}.places": images.places, f"{split}.sizes": images.sizes}
        arrays |= {f"{split}.{k}": canvas for k, canvas in enumerate(images.pixels)}
    return arrays


def _read(path: Path, catalog: Catalog) -> Sets | None:
    """Map the images from a cache file; None where there is none for this catalog."""
    found = read_arrays(path)
    if found is None:
        return None
    train, val = (
        _set(found, split, refs, labels_of(refs, len(catalog.class_names)))
        for split, refs in ((TRAIN, catalog.train), (VAL, catalog.val))
    )
    return (train, val) if train is not None and val is not None else None


def _set(
    found: dict[str, NDArray[Any]],
    split: str,
    refs: tuple[ImageRef, ...],
    labels: NDArray[np.int64],
) -> ImageSet | None:
    try:
        places, sizes = found[f"{split}.places"], found[f"{split}.sizes"]
        shapes = canvas_shapes(places, sizes)
        canvases = [found[f"{split}.{k}"] for k in range(len(shapes))]
    except KeyError:
        return None
    if len(sizes) != len(refs) or [canvas.shape for canvas in canvases] != shapes:
        return None
    return image_set(canvases, places, sizes, labels)
