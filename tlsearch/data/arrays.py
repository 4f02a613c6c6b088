"""Checks arrays of images and labels, and makes a reference to each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.reading import listed
from tlsearch.data.references import ImageRef, SourceImages
from tlsearch.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class LabelledArrays:
    """The images and labels of one split, as read.

    Attributes:
        images_name, labels_name: their names for the user, for messages.
        images: should be uint8 (N, H, W) or (N, H, W, 1, 3 or 4).
        labels: should be integers (N,).
    """

    images_name: str
    labels_name: str
    images: NDArray[Any]
    labels: NDArray[Any]


def array_source(
    where: str, arrays: Mapping[str, LabelledArrays], class_names: Sequence[str] | None = None
) -> SourceImages:
    """Make a source from the arrays of each split.

    Args:
        where: the path or name that the user gave.
        arrays: by split.
        class_names: label k is the k-th name; None = the labels themselves, sorted, are the
            classes.

    Raises:
        DataError: wrong type, shape, length or labels.
    """
    for split in arrays.values():
        _check_images(where, split)
        _check_labels(where, split, class_names)
    values = _label_values(arrays, class_names)
    names = tuple(class_names or (str(value) for value in values))
    splits = {split: _references(found, values) for split, found in arrays.items()}
    return SourceImages(where, names, splits)


def _check_images(where: str, split: LabelledArrays) -> None:
    images, name = split.images, split.images_name
    if images.dtype != np.uint8:
        raise DataError(
            f"{where}: {name} is {images.dtype}; save the images as uint8 from 0 to 255"
        )
    channels = images.shape[3:] if images.ndim > 3 else (1,)
    if images.ndim not in (3, 4) or channels not in ((1,), (3,), (4,)) or 0 in images.shape[1:]:
        raise DataError(
            f"{where}: {name} has the shape {images.shape}; "
            "it must be (N, H, W) or (N, H, W, channels) with 1, 3 or 4 channels"
        )


def _check_labels(where: str, split: LabelledArrays, class_names: Sequence[str] | None) -> None:
    labels, name = split.labels, split.labels_name
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(
            f"{where}: {name} is {labels.dtype} of shape {labels.shape}; "
            "labels must be integers of shape (N,)"
        )
    if len(labels) != len(split.images):
        raise DataError(
            f"{where}: {split.images_name} has {len(split.images)} images but {name} "
            f"{len(labels)} labels; give one label for each image"
        )
    odd = labels[(labels < 0) | (labels >= len(class_names))] if class_names else labels[:0]
    if class_names and len(odd):
        raise DataError(
            f"{where}: {name} has the label {listed(map(str, np.unique(odd).tolist()))} but "
            f"class_names has {len(class_names)} names; labels must count from 0"
        )


def _label_values(
    arrays: Mapping[str, LabelledArrays], class_names: Sequence[str] | None
) -> NDArray[np.int64]:
    if class_names:
        return np.arange(len(class_names), dtype=np.int64)
    return np.unique(np.concatenate([split.labels.astype(np.int64) for split in arrays.values()]))


def _references(split: LabelledArrays, values: NDArray[np.int64]) -> tuple[ImageRef, ...]:
    labels = np.searchsorted(values, split.labels.astype(np.int64)).tolist()
    return tuple(
        ImageRef(f"{split.images_name}[{index}]", label, split.images[index])
        for index, label in enumerate(labels)
    )
