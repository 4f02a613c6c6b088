"""Decodes a catalog once and stores the images in the user's cache folder."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from platformdirs import user_cache_path

from tlsearch.data.cachefile import read_arrays, write_arrays
from tlsearch.data.decode import check_readable, decode, stored_size
from tlsearch.data.imageset import TrainingData, image_set, on_canvas
from tlsearch.data.reading import read_all, unreadable
from tlsearch.data.references import Catalog

VERSION = 1  # raise it when decoding or the names of the arrays change

Decoded = dict[str, NDArray[Any]]


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
    found = read_arrays(path)
    if found is None or not _matches(found, catalog):
        found = _decode(catalog, short_side)
        _keep(path, found)
    return TrainingData(
        class_names=catalog.class_names,
        fingerprint=catalog.fingerprint,
        train=image_set(found["train"], found["train_sizes"], [r.label for r in catalog.train]),
        val=image_set(found["val"], found["val_sizes"], [r.label for r in catalog.val]),
    )


def verify_images(catalog: Catalog) -> None:
    """Check that every image can be decoded, test images too.

    Raises:
        DataError: some cannot; the message names the first five and says how many there are.
    """
    _, problems = read_all([*catalog.train, *catalog.val, *catalog.test], check_readable)
    if problems:
        raise unreadable(problems)


def cache_folder() -> Path:
    """Return the folder of decoded data sets; users may delete it at any time."""
    return user_cache_path("tlsearch") / "datasets"


def features_folder() -> Path:
    """Return the folder of computed features; users may delete it at any time."""
    return user_cache_path("tlsearch") / "features"


def _decode(catalog: Catalog, short_side: int) -> Decoded:
    refs = [*catalog.train, *catalog.val]
    images, problems = read_all(refs, partial(decode, short_side=short_side))
    if problems:
        raise unreadable(problems + read_all(catalog.test, check_readable)[1])
    n_train = len(catalog.train)
    train, train_sizes = on_canvas(images[:n_train])
    val, val_sizes = on_canvas(images[n_train:])
    return {"train": train, "train_sizes": train_sizes, "val": val, "val_sizes": val_sizes}


def _keep(path: Path, decoded: Decoded) -> None:
    with suppress(OSError):  # without a cache file the next worker decodes again
        write_arrays(path, decoded)


def _matches(found: Decoded, catalog: Catalog) -> bool:
    lengths = {"train": len(catalog.train), "val": len(catalog.val)}
    return all(
        name in found and len(found[name]) == len(found[f"{name}_sizes"]) == length
        for name, length in lengths.items()
    )
