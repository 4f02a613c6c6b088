"""How much each training image counts in the loss, where a manifest says so."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tlsearch.data.imageset import ImageSet
from tlsearch.data.references import Catalog

if TYPE_CHECKING:
    from torch import Tensor


def with_weights(sets: tuple[ImageSet, ImageSet], catalog: Catalog) -> tuple[ImageSet, ImageSet]:
    """Return the training and validation images with their weights, where those differ.

    Validation images need theirs where they are trained on in the end.
    """
    train, val = ([ref.weight for ref in refs] for refs in (catalog.train, catalog.val))
    if len({*train, *val}) <= 1:
        return sets
    return (
        replace(sets[0], weights=np.array(train, np.float32)),
        replace(sets[1], weights=np.array(val, np.float32)),
    )


def weighted_labels(
    labels: "Tensor", weights: "Tensor", order: "Tensor", n_classes: int
) -> "Tensor":
    """Return rows in which each image's class has its weight; the mean over all images is 1.

    Args:
        labels: int64 (b,), of the images of a batch.
        weights: float32 (n,), of all training images.
        order: int64 (b,) on the CPU, which images the batch has.
        n_classes: length of a row.

    Returns:
        float32 (b, n_classes).
    """
    from torch.nn import functional as F

    own = weights[order.to(weights.device, non_blocking=True)] / weights.mean()
    return F.one_hot(labels, n_classes).float() * own[:, None]
