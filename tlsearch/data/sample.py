"""A few images of a data set, decoded without the cache: for measuring how long things take."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import median_low
from typing import TypeVar

from tlsearch.data.decode import decode, open_rgb
from tlsearch.data.fitting import stored_size
from tlsearch.data.imageset import ImageSet, TrainingData, labels_of, packed
from tlsearch.data.reading import read_all, unreadable
from tlsearch.data.references import Catalog, ImageRef
from tlsearch.records.resize import Resize

T = TypeVar("T")


def sample_of(catalog: Catalog, n_train: int, n_val: int) -> Catalog:
    """Return a catalog of at most so many images, evenly spaced; without test images."""
    train, val = evenly_spaced(catalog.train, n_train), evenly_spaced(catalog.val, n_val)
    return replace(catalog, train=train, val=val, test=(), folds=None)


def decode_sample(
    sample: Catalog, image_size: int, eval_crop: float, resize: Resize
) -> TrainingData:
    """Decode the images of a sample; see `load_training_data`, which keeps them in the cache.

    Raises:
        DataError: images cannot be read.
    """
    short_side = stored_size(image_size, eval_crop)
    n_classes = len(sample.class_names)
    train, val = (
        _decoded(refs, n_classes, short_side, resize) for refs in (sample.train, sample.val)
    )
    return TrainingData(sample.class_names, sample.fingerprint, train, val)


def median_short_side(refs: Sequence[ImageRef]) -> int:
    """Return the median of the shorter sides of images as they are stored, pixels.

    Raises:
        DataError: images cannot be read.
    """
    sides, problems = read_all(refs, lambda ref: min(open_rgb(ref).size))
    if problems:
        raise unreadable(problems)
    return median_low(sides)


def _decoded(refs: Sequence[ImageRef], n_classes: int, short_side: int, resize: Resize) -> ImageSet:
    read = partial(decode, short_side=short_side, resize=resize)
    images, problems = read_all(refs, read)
    if problems:
        raise unreadable(problems)
    return packed(images, labels_of(refs, n_classes))


def evenly_spaced(found: Sequence[T], n: int) -> tuple[T, ...]:
    """Return at most n items, evenly spaced."""
    n = min(n, len(found))
    return tuple(found[i * len(found) // n] for i in range(n))
