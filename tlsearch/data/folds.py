"""Divides images into folds: each is validated by a network that was trained on the others.

As with the splits (docs/decisions/0015-stable-splits.md) each unit, an image or a group, goes by a
hash of its own key: what is added or removed moves nothing else, and the numbers are near equal
shares. With `data.splits = "ranked"` they are equal shares of each class, but for one image. What
is chosen by folds, and why: docs/decisions/0021-folds.md.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from tlsearch.data.hashed_splits import hash_of
from tlsearch.data.reading import Contents
from tlsearch.data.references import ImageRef, SourceImages
from tlsearch.data.splits import shuffled, unit_keys
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec


def make_folds(
    source: SourceImages, refs: Sequence[ImageRef], spec: DataSpec, contents: Contents
) -> list[int]:
    """Return the fold of each image, from 0.

    Args:
        source: for its name and its classes, in messages.
        refs: the images for training and for validation.
        spec: for `folds`, `splits` and `split_seed`.
        contents: of the images.

    Raises:
        DataError: a class has fewer images, or is in fewer groups, than there are folds; or images
            cannot be read.
    """
    grouped = any(ref.group is not None for ref in refs)
    labels = [ref.classes for ref in refs]
    one_label = all(len(classes) == 1 for classes in labels)
    if spec.splits == "ranked" and one_label and not grouped:
        keys = [ref.name.encode("utf-8", "surrogateescape") for ref in refs]
        found = _ranked(refs, spec.folds, spec.split_seed)
    else:
        keys = unit_keys(refs, contents)
        found = hashed_folds(keys, labels, spec.split_seed, spec.folds)
    for label, name in enumerate(source.class_names):
        of_class = [k for k, classes in enumerate(labels) if label in classes]
        n_units = len({keys[k] for k in of_class})
        if n_units < spec.folds or len({found[k] for k in of_class}) < 2:
            raise _too_few(source, name, len(of_class), n_units, spec.folds, grouped=grouped)
    return found


def hashed_folds(
    keys: Sequence[bytes], labels: Sequence[tuple[int, ...]], seed: int, n_folds: int
) -> list[int]:
    """Return the fold of each image, by a hash of its key alone.

    A class that would be missing from a fold gets one unit there, the nearest one whose own fold
    keeps another of each of its classes, where there is one.

    Args:
        keys: of each image; those with equal keys stay together.
        labels: the classes of each image.
        seed: of the hash.
        n_folds: at least 2.
    """
    classes: dict[bytes, set[int]] = defaultdict(set)
    for key, own in zip(keys, labels, strict=True):
        classes[key].update(own)
    places = {key: n_folds * _place(key, seed) for key in classes}
    fold_of = {key: int(place) for key, place in places.items()}
    counts = Counter((fold_of[key], label) for key in classes for label in classes[key])
    for label in sorted({label for own in labels for label in own}):
        for fold in range(n_folds):
            if counts[fold, label]:
                continue
            may_move = (
                key
                for key, its in classes.items()
                if label in its and all(counts[fold_of[key], each] > 1 for each in its)
            )
            nearest = min(may_move, key=lambda k: (abs(places[k] - fold - 0.5), k), default=None)
            if nearest is not None:
                for each in classes[nearest]:
                    counts[fold_of[nearest], each] -= 1
                    counts[fold, each] += 1
                fold_of[nearest] = fold
    return [fold_of[key] for key in keys]


def _place(key: bytes, seed: int) -> float:
    """Return a place in [0, 1) that does not follow from that of the splits."""
    return int.from_bytes(hash_of(b"fold/" + key, seed)[:8], "big") / 2**64


def _ranked(refs: Sequence[ImageRef], n_folds: int, seed: int) -> list[int]:
    """Deal the images of one class after the other, each class in the order of its shuffle."""
    dealt = sorted(shuffled(refs, seed, "fold/"), key=lambda ref: ref.classes)
    fold_of = {ref.name: k % n_folds for k, ref in enumerate(dealt)}
    return [fold_of[ref.name] for ref in refs]


def _too_few(
    source: SourceImages, name: str, n_images: int, n_units: int, n_folds: int, *, grouped: bool
) -> DataError:
    n = "1 image" if n_images == 1 else f"{n_images} images"
    if grouped:
        n += " in 1 group" if n_units == 1 else f" in {n_units} groups"
    elif n_units < n_images:
        n += f", of which {n_units} are different,"
    return DataError(
        f"{source.where}: the class {name!r} has {n} for training and validation, too few for "
        f"data.folds = {n_folds}; lower data.folds, or add images"
    )
