"""The linear probe, fitted once for the same features and kept in the user's cache folder."""

import hashlib
import math
from contextlib import suppress
from pathlib import Path

import numpy as np

from tlsearch.data import features_folder, read_arrays, write_arrays
from tlsearch.measures.features import Features
from tlsearch.measures.linear_probe import VERSION, LinearProbe, linear_probe


def kept_linear_probe(train: Features, n_classes: int, seed: int = 0) -> LinearProbe:
    """Return the linear classifier of `linear_probe`, from the cache if it is there.

    Measures, floor, finalists and plan ask for the same one, and fitting it may take longer than
    the features. It depends on the values of the features alone, so its key is their content.

    Args:
        train: of the training images.
        n_classes: outputs.
        seed: of the folds.

    Raises:
        DataError: the training images are all of one class.
    """
    path = _path(train, n_classes, seed)
    found = read_arrays(path)
    if found is not None:
        strength, cv_loss = map(float, found["chosen"])
        loss = None if math.isnan(cv_loss) else cv_loss
        weight, bias = np.array(found["weight"]), np.array(found["bias"])  # torch wants its own
        return LinearProbe(weight, bias, strength, loss)
    probe = linear_probe(train, n_classes, seed)
    chosen = np.array([probe.strength, math.nan if probe.cv_loss is None else probe.cv_loss])
    with suppress(OSError):  # without a cache file the next one fits it again
        write_arrays(path, {"weight": probe.weight, "bias": probe.bias, "chosen": chosen})
    return probe


def _path(train: Features, n_classes: int, seed: int) -> Path:
    digest = hashlib.sha256(f"{VERSION} {n_classes} {seed} {train.values.shape}".encode())
    for array in (train.values, train.labels):
        digest.update(np.ascontiguousarray(array).data)
    return features_folder() / f"{digest.hexdigest()}-probe.safetensors"
