"""What the kept models of a table's runs answer on the test images, each alone and all together.

This bench alone reads the test images. No trial saw them, and nothing is chosen by them.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.storages import RDBStorage

from bench.accuracy.answers import model_of, probabilities
from bench.accuracy.run import Line
from bench.accuracy.targets import Prepared
from bench.accuracy.unit import written
from tlsearch.artifacts import artifacts_place, open_artifacts
from tlsearch.finetune.checkpoint import load_weights
from tlsearch.store.models import model_files
from tlsearch.store.stored_study import StoredStudy

Probabilities = NDArray[np.float64]


def answer(database: RDBStorage, study: StoredStudy, prepared: Prepared) -> Probabilities:
    """Return the probabilities that the study's one kept model gives the test images.

    Args:
        database: that holds the study.
        study: of one setting, complete.
        prepared: the images.

    Returns:
        float64 (n_test, n_classes).

    Raises:
        ValueError: it kept no model, or several, or its file is gone.
    """
    files = model_files(database.engine, study.study_id)
    if len(files) != 1:
        raise ValueError(f"study {study.name} kept {len(files)} models, not one")
    place = artifacts_place(None, study.spec.checkpoints.folder)
    data = open_artifacts(place, writable=False).read(next(iter(files.values())))
    if data is None:
        raise ValueError(f"the model of study {study.name} is gone")
    model = model_of(load_weights(data), prepared.n_classes)
    pixels = prepared.pixels("test", study.spec.recipe.image_size)
    found: Probabilities = probabilities(model, pixels)
    return found


def of_run(found: Probabilities) -> Line:
    """Return the classes that a model predicts, one character an image."""
    return {"predictions": written(found.argmax(axis=1))}


def of_ensemble(experiment: str, answers: Sequence[Probabilities]) -> Line:
    """Return the line of all runs together: the mean of their probabilities."""
    mean = np.mean(np.stack(list(answers)), axis=0)
    together = {"experiment": experiment, "run": "ensemble", "complete": True}
    return {**together, "n": len(answers), **of_run(mean)}


def needs_test(experiment: str) -> bool:
    """Whether an experiment's models are tested: those of the tables are."""
    return experiment.startswith("table") and experiment != "table1"


def all_tested(found: Iterable[Line], n: int) -> bool:
    """Whether all runs of an experiment are there, with their answers."""
    return sum("predictions" in line for line in found) == n
