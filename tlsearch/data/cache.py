"""Decodes a catalog once and stores the images in the user's cache folder."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from platformdirs import user_cache_path

from tlsearch.data.cachefile import read_arrays, write_arrays
from tlsearch.data.decode import decode, look_at, stored_size
from tlsearch.data.imageset import ImageSet, TrainingData, canvas_shapes, image_set, packed
from tlsearch.data.memory import FEWER_IMAGES, check_room, enough_memory
from tlsearch.data.reading import read_all, unreadable
from tlsearch.data.references import TRAIN, VAL, Catalog, ImageRef, Pixels

VERSION = 2  # raise it when decoding or the names of the arrays change

_PART = 200  # images that are decoded before their memory is counted
Sets = tuple[ImageSet, ImageSet]  # train and val


def load_training_data(catalog: Catalog, image_size: int, eval_crop: float) -> TrainingData:
    """Decode the training and validation images, or map them from the cache.

    The shorter side of each image becomes `stored_size(image_size, eval_crop)` pixels. A damaged
    cache file is written again; if a file cannot be written, there is no cache.

    Args:
        catalog: the images; its test images are not decoded.
        image_size: side of the square that the network sees, pixels.
        eval_crop: that side as a share of the shorter side, in (0, 1].

    Raises:
        DataError: images cannot be read; the message counts those of all splits.
    """
    short_side = stored_size(image_size, eval_crop)
    path = cache_folder() / f"{catalog.fingerprint}-{short_side}-v{VERSION}.safetensors"
    sets = _read(path, catalog)
    if sets is None:
        sets = _decode(catalog, short_side)
        _keep(path, sets)
        sets = _read(path, catalog) or sets  # mapped, they take no memory of their own
    train, val = sets
    return TrainingData(catalog.class_names, catalog.fingerprint, train, val)


def verify_images(catalog: Catalog) -> None:
    """Check that every image can be decoded, test images too.

    Raises:
        DataError: some cannot; the message names the first five and says how many there are.
    """
    _, problems = read_all([*catalog.train, *catalog.val, *catalog.test], look_at)
    if problems:
        raise unreadable(problems)


def cache_folder() -> Path:
    """Return the folder of decoded data sets; users may delete it at any time."""
    return user_cache_path("tlsearch") / "datasets"


def features_folder() -> Path:
    """Return the folder of computed features; users may delete it at any time."""
    return user_cache_path("tlsearch") / "features"


def _decode(catalog: Catalog, short_side: int) -> Sets:
    refs = [*catalog.train, *catalog.val]
    labels = [ref.label for ref in refs]
    n_train = len(catalog.train)
    with enough_memory("for the decoded images", FEWER_IMAGES):
        images, problems = _decode_all(refs, short_side)
        if problems:
            raise unreadable(problems + read_all(catalog.test, look_at)[1])
        val_images, images[n_train:] = images[n_train:], []
        return packed(images, labels[:n_train]), packed(val_images, labels[n_train:])


def _decode_all(refs: list[ImageRef], short_side: int) -> tuple[list[Pixels], list[str]]:
    """Decode in parts; refuse as soon as the images so far say that not all of them fit."""
    images: list[Pixels] = []
    problems: list[str] = []
    for start in range(0, len(refs), _PART):
        found, failed = read_all(
            refs[start : start + _PART], partial(decode, short_side=short_side)
        )
        images += found
        problems += failed
        taken = sum(image.nbytes for image in images)
        left = len(refs) - start - _PART
        if images and left > 0:
            check_room(left * taken // len(images), "for the decoded images", FEWER_IMAGES)
    return images, problems


def _keep(path: Path, sets: Sets) -> None:
    with suppress(OSError, MemoryError):  # without a cache file the next worker decodes again
        write_arrays(path, _arrays(sets))
        for former in path.parent.glob(f"{path.stem.rpartition('-v')[0]}-v*{path.suffix}"):
            if former != path:
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
        _set(found, split, refs) for split, refs in ((TRAIN, catalog.train), (VAL, catalog.val))
    )
    return (train, val) if train is not None and val is not None else None


def _set(found: dict[str, NDArray[Any]], split: str, refs: tuple[ImageRef, ...]) -> ImageSet | None:
    try:
        places, sizes = found[f"{split}.places"], found[f"{split}.sizes"]
        shapes = canvas_shapes(places, sizes)
        canvases = [found[f"{split}.{k}"] for k in range(len(shapes))]
    except KeyError:
        return None
    if len(sizes) != len(refs) or [canvas.shape for canvas in canvases] != shapes:
        return None
    return image_set(canvases, places, sizes, [ref.label for ref in refs])
