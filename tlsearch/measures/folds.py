"""Folds of images with several labels, each with a share of every class."""

import numpy as np
from numpy.typing import NDArray

MOST = 5  # folds

Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]


def folds_of_several(labels: Labels, wanted: int, generator: np.random.Generator) -> list[Mask]:
    """Return masks of the images to hold out, with as equal shares of every class as can be.

    Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data" (ECML PKDD 2011),
    in short: class after class, the one with the fewest images left first, its images that are in
    no fold yet are dealt to the folds in turn, from where there are fewest of the class. Images
    without a label come last. The only image of a class is never held out.

    Args:
        labels: (n, n_classes) of 0 and 1.
        wanted: how many masks; fewer where there are fewer images.
        generator: for the order of the images.
    """
    has = labels == 1
    n, rare = len(labels), has.sum(axis=0) == 1
    free = ~has[:, rare].any(axis=1)
    n_folds = min(MOST, int(free.sum()))
    if n_folds < 2:
        return []
    fold_of, order = np.full(n, -1), generator.permutation(n)
    while (free & has.any(axis=1)).any():
        left = has[free].sum(axis=0)
        number = int(np.where(left > 0, left, n + 1).argmin())
        dealt = np.array([np.sum(has[fold_of == fold, number]) for fold in range(n_folds)])
        sizes = np.array([np.sum(fold_of == fold) for fold in range(n_folds)])
        for image in order[free[order] & has[order, number]]:
            fold = int(np.lexsort((sizes, dealt))[0])
            fold_of[image] = fold
            dealt[fold] += 1
            sizes[fold] += 1
            free[image] = False
    rest = order[free[order]]
    fold_of[rest] = np.arange(len(rest)) % n_folds
    return [fold_of == fold for fold in range(min(wanted, n_folds))]
