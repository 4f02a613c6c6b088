"""A few images of each class as the network sees them, and what the channels are like."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from tlsearch.data.decode import decode
from tlsearch.data.fitting import stored_size
from tlsearch.data.mixing import mixed_batches
from tlsearch.data.pipeline import DeviceImages, train_batches, val_batches
from tlsearch.data.reading import read_all, unreadable
from tlsearch.data.references import Catalog, ImageRef, Pixels
from tlsearch.data.sample import decode_sample, evenly_spaced
from tlsearch.spec import RecipeSpec

_MOST_LOOKED_AT = 256  # images whose channels are measured


@dataclass(frozen=True, slots=True, eq=False)
class SeenClass:
    """Images of one class as the network sees them, each uint8 (size, size, 3).

    Attributes:
        name: of the class.
        train: after crop, flip, augmentation, erasing and mixing, in the draws of epoch 1.
        val: as validation sees them.
    """

    name: str
    train: tuple[Pixels, ...]
    val: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels red, green and blue of some images, of values from 0 to 1.

    Attributes:
        n_images: how many were looked at.
        mean: over all their pixels.
        std: standard deviation over all their pixels.
    """

    n_images: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def seen_classes(
    catalog: Catalog,
    recipe: RecipeSpec,
    statistics: tuple[Sequence[float], Sequence[float]],
    most: int,
    n_train: int,
    n_val: int,
) -> tuple[SeenClass, ...]:
    """Prepare a few images of each class as training and validation do.

    Args:
        catalog: the images; test images are not looked at.
        recipe: how images are prepared.
        statistics: pixel mean and standard deviation of the network.
        most: classes; of more, evenly chosen ones.
        n_train: training images of each, evenly chosen.
        n_val: validation images of each.

    Raises:
        DataError: an image cannot be read.
    """
    names = catalog.class_names
    labels = evenly_spaced(range(len(names)), most)
    sample = replace(
        catalog,
        train=_of_each(catalog.train, labels, n_train),
        val=_of_each(catalog.val, labels, n_val),
        test=(),
        folds=None,
    )
    images = decode_sample(sample, recipe.image_size, recipe.eval_crop, recipe.resize)
    train = _train(DeviceImages(images.train, "cpu"), recipe, statistics, len(names))
    seen = recipe.for_evaluation()
    if seen.image_size != recipe.image_size:
        images = decode_sample(sample, seen.image_size, seen.eval_crop, seen.resize)
    val = val_batches(DeviceImages(images.val, "cpu"), seen, *statistics, len(sample.val))
    by_label = (_by_label(train, statistics), n_train), (_by_label(val, statistics), n_val)
    return tuple(
        SeenClass(names[k], *(tuple(found.get(k, ())[:n]) for found, n in by_label)) for k in labels
    )


def channels_of(refs: Sequence[ImageRef], recipe: RecipeSpec) -> Channels:
    """Measure the channels of evenly chosen images, as they are decoded for the network.

    Raises:
        DataError: an image cannot be read.
    """
    short_side = stored_size(recipe.image_size, recipe.eval_crop)
    chosen = evenly_spaced(refs, _MOST_LOOKED_AT)
    found, problems = read_all(chosen, lambda ref: _sums(decode(ref, short_side, recipe.resize)))
    if problems:
        raise unreadable(problems)
    count, total, squares = np.sum(found, axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Channels(len(found), tuple(mean.tolist()), tuple(std.tolist()))


def _sums(pixels: Pixels) -> np.ndarray:
    """Return the number, the sum and the sum of squares of each channel (3, 3)."""
    values = pixels.reshape(-1, 3) / 255
    return np.stack([np.full(3, len(values)), values.sum(0), (values**2).sum(0)])


def _of_each(refs: Sequence[ImageRef], labels: Sequence[int], n: int) -> tuple[ImageRef, ...]:
    return tuple(
        ref
        for label in labels
        for ref in evenly_spaced([ref for ref in refs if label in ref.classes], n)
    )


def _train(
    images: DeviceImages,
    recipe: RecipeSpec,
    statistics: tuple[Sequence[float], Sequence[float]],
    n_classes: int,
) -> list[tuple[Tensor, Tensor]]:
    """Return all images in one batch with the labels that are their own, mixed or not."""
    whole = recipe.model_copy(update={"batch_size": len(images)})
    plain = list(train_batches(images, whole, *statistics, 1))
    mixed = mixed_batches(plain, whole, n_classes, 1)
    return [(pixels, labels) for (pixels, _), (_, labels) in zip(mixed, plain, strict=True)]


def _by_label(
    batches: Iterable[tuple[Tensor, Tensor]], statistics: tuple[Sequence[float], Sequence[float]]
) -> dict[int, list[Pixels]]:
    mean, std = (np.array(values, dtype=np.float32) for values in statistics)
    found: dict[int, list[Pixels]] = {}
    for pixels, labels in batches:
        values = pixels.permute(0, 2, 3, 1).numpy() * std + mean
        shown = (255 * values).round().clip(0, 255).astype(np.uint8)
        for its, image in zip(labels, shown, strict=True):
            for label in its.nonzero().flatten().tolist() if its.ndim else [int(its)]:
                found.setdefault(label, []).append(image)
    return found
