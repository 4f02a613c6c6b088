"""Takes the measures of a study that need no trial: of features, and the range of rates."""

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tlsearch.data import Domain, enough_memory, load_domain
from tlsearch.errors import DataError, MemoryShortage, TrialFailure
from tlsearch.finetune import lr_range_test
from tlsearch.measures import (
    FeatureMeasures,
    Features,
    FixedFeatures,
    features_of,
    fixed_features,
    measure_features,
    right_alone,
    score_error,
)
from tlsearch.records import Lead, Measures, SizeMeasure, TrialRecord, size_lead
from tlsearch.records.objective import ACCURACY, MEAN_AVERAGE_PRECISION
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.floor import features_of_study
from tlsearch.worker.materials import TrainingMaterials

_THEN = "lower recipe.image_size, or measure on another device or machine"


def take_measures(
    context: WorkerContext, materials: TrainingMaterials, random_init: TrialRecord
) -> Measures:
    """Return the domain measures of a study.

    Args:
        context: of the worker on that study.
        materials: its images and network.
        random_init: the ended trial that trained from random weights.

    Raises:
        DataError: the images cannot be measured, or changed meanwhile.
        MemoryShortage: there is too little memory to measure them here.
    """
    start = time.monotonic()
    with enough_memory(f"to measure study {context.study.name!r} on {context.device}", _THEN):
        train, val = features_of_study(context, materials)
        of_features = _feature_measures(context, materials, train, val)
    between = time.monotonic()
    sizes = _sizes(context, materials, of_features.fixed)
    before_range = time.monotonic()
    lr_range = _lr_range(context, materials)
    end = time.monotonic()
    complete = random_init.state == "complete"
    fixed, fisher, own = of_features.fixed, of_features.fisher, random_init.own
    by_accuracy = random_init.objective == ACCURACY
    return Measures(
        fixed_features=fixed.score,
        fixed_features_strength=fixed.probe.strength,
        random_init=random_init.score if complete else None,
        random_init_epochs=random_init.epochs,
        fisher=None if fisher is None else fisher.score,
        fisher_floor=None if fisher is None else fisher.floor,
        fisher_floor_spread=None if fisher is None else fisher.floor_spread,
        emd=of_features.emd,
        emd_similarity=of_features.emd_similarity,
        emd_source=of_features.emd_source,
        lr_range=lr_range,
        n_val=context.study.data.n_val,
        feature_seconds=round(between - start, 3),
        lr_range_seconds=round(end - before_range, 3),
        random_init_seconds=random_init.seconds or 0.0,
        sizes=sizes,
        objective=random_init.objective,
        fixed_features_error=None if by_accuracy else score_error(fixed.values),
        random_init_error=own.error if own is not None and complete else None,
    )


def _feature_measures(
    context: WorkerContext, materials: TrainingMaterials, train: Features, val: Features
) -> FeatureMeasures:
    folds = _folds(materials)
    try:
        source = _source(context, materials)
    except DataError as error:  # of no weight unless asked for, so no reason to stop
        measured = measure_features(train, val, folds=folds)
        return replace(measured, emd_source=f"not measured ({error})")
    return measure_features(train, val, source, materials.backbone.source_rows, folds)


def _folds(materials: TrainingMaterials) -> NDArray[np.int64] | None:
    return None if materials.data.folds is None else materials.data.folds.numpy()


def _sizes(
    context: WorkerContext, materials: TrainingMaterials, before: FixedFeatures
) -> tuple[SizeMeasure, ...]:
    """Measure fixed features at the sizes that the spec names.

    Args:
        context: of the worker.
        materials: of the study.
        before: fixed features at the recipe's size.
    """
    spec = context.study.spec
    found = []
    for size in sorted({*spec.measures.sizes} - {spec.recipe.for_evaluation().image_size}):
        start = time.monotonic()
        context.progress.preparing(f"measuring fixed features at {size} pixels")
        try:
            with enough_memory(f"for fixed features at {size} pixels", "they are left out"):
                train, val = features_of_study(context, materials, image_size=size)
        except MemoryShortage as error:  # of no weight for the prior, so no reason to stop
            context.progress.preparing(str(error))
            continue
        fixed = fixed_features(train, val, folds=_folds(materials))
        seconds = round(time.monotonic() - start, 3)
        lead = _lead(fixed, before, several=spec.data.multi_label)
        found.append(SizeMeasure(size, fixed.score, lead, seconds))
    return tuple(found)


def _lead(fixed: FixedFeatures, before: FixedFeatures, *, several: bool) -> Lead:
    """Return how far one classifier leads another on the same validation images."""
    n = len(before.right)
    if not several:
        return size_lead(*right_alone(fixed.right, before.right), n)
    gains = fixed.values - before.values
    return Lead(float(gains.mean()), score_error(gains), n, MEAN_AVERAGE_PRECISION)


def _source(context: WorkerContext, materials: TrainingMaterials) -> tuple[str, Features] | None:
    """Return the folder of source images that the spec names, and their features."""
    path = context.study.spec.measures.source
    if path is None:
        return None
    recipe = context.study.spec.recipe.for_evaluation()
    domain: Domain = load_domain(path)
    features = features_of(
        materials.backbone,
        lambda: domain.decoded(recipe.image_size, recipe.eval_crop, recipe.resize),
        domain.fingerprint,
        recipe,
        context.device,
        f"measures.source {path}",
    )
    return path, features


def _lr_range(context: WorkerContext, materials: TrainingMaterials) -> float | None:
    recipe = context.study.spec.recipe
    try:
        return lr_range_test(materials.backbone, materials.data, recipe, context.device)
    except (TrialFailure, RuntimeError):  # trials will fail alike and say why
        return None
