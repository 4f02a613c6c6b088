"""The ensemble of several models."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


def ensemble(members: Sequence[Probabilities]) -> Probabilities:
    """Return the arithmetic mean of models' softmax outputs, as the paper's ensembles (section 5).

    The mean of fixed features and a trial is another one, the geometric mean:
    `tlsearch.finetune.mean`.

    Args:
        members: float64 (n, n_classes) of each model, at least one.
    """
    mean: Probabilities = np.mean(np.stack(list(members)), axis=0)
    return mean
