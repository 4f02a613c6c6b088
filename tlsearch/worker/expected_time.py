"""How long a study will take on a worker like this one, from a few measured steps."""

import logging

from tlsearch.data.sample import decode_sample, sample_of
from tlsearch.finetune import FineTuneData
from tlsearch.finetune.lr_range import STEPS
from tlsearch.finetune.pace import Pace, measure_pace, sample_size
from tlsearch.measures import random_init_epochs
from tlsearch.records.format import duration
from tlsearch.spec import StudySpec
from tlsearch.worker.context import WorkerContext, device_name
from tlsearch.worker.materials import TrainingMaterials

_MEASURE_SECONDS = 2.0  # begin no further burst after them
_log = logging.getLogger(__name__)


def expected_time(context: WorkerContext, materials: TrainingMaterials) -> str | None:
    """Return a sentence on how long the study takes; None where that cannot be measured.

    Times a few steps and validations of as many images as a batch has. Trials that are pruned
    take less.
    """
    if materials.catalog is None:
        return None
    context.progress.preparing("timing a few steps")
    try:
        pace = _pace(context, materials)
    except Exception as error:  # a trial will fail alike, and say why
        _log.info("the study's time is not measured", exc_info=error)
        return None
    spec, data = context.study.spec, context.study.data
    trial = trial_seconds(spec, pace, data.n_train, data.n_val)
    measuring = measuring_seconds(spec, pace, data.n_train, data.n_val)
    total = spec.budget.trials * trial + measuring
    where = device_name(context.device) or str(context.device)
    sentence = (
        f"{spec.budget.trials} trials of {spec.recipe.epochs} epochs take about {duration(total)} "
        f"on one worker ({where}), less where trials are pruned"
    )
    if measuring:
        share = 100 * measuring / total
        sentence += f"; {duration(measuring)} of it ({share:.0f} %) for measuring"
    return sentence


def trial_seconds(spec: StudySpec, pace: Pace, n_train: int, n_val: int) -> float:
    """Return the seconds of a trial that is not pruned; of all its networks, where it has folds."""
    keeps = spec.checkpoints.keep_best > 0
    epoch = epoch_seconds(spec, pace, n_train, n_val, keeps=keeps)
    return networks_of(spec, keeps=keeps) * pace.setup + spec.recipe.epochs * epoch


def networks_of(spec: StudySpec, *, keeps: bool) -> int:
    """Return how many networks a trial trains: one, or one a fold and the one that is kept."""
    return spec.data.folds + keeps if spec.data.folds else 1


def epoch_seconds(spec: StudySpec, pace: Pace, n_train: int, n_val: int, *, keeps: bool) -> float:
    """Return the seconds of an epoch of a trial, which may have folds.

    Args:
        spec: of the study.
        pace: of one network.
        n_train: images that a network is trained on.
        n_val: images that are validated.
        keeps: whether a model is kept.
    """
    if not spec.data.folds:
        return pace.epoch_seconds(n_train, n_val, spec.recipe)
    found = spec.data.folds * pace.epoch_seconds(n_train, 0, spec.recipe) + n_val * pace.val_image
    if keeps:  # it is trained on all images, and evaluated but once
        found += pace.epoch_seconds(n_val, 0, spec.recipe)
    return found


def measuring_seconds(
    spec: StudySpec, pace: Pace, n_train: int, n_val: int, features: float | None = None
) -> float:
    """Return the seconds of the measures: random initialisation, features, range of rates.

    Args:
        spec: of the study.
        pace: of the training.
        n_train: training images.
        n_val: validation images.
        features: seconds for the features, where that is known.
    """
    if spec.measures.when == "off":
        return 0.0
    epoch = epoch_seconds(spec, pace, n_train, n_val, keeps=False)
    setups = networks_of(spec, keeps=False) * pace.setup
    random_init = setups + random_init_epochs(spec) * epoch
    lr_range = STEPS * min(spec.recipe.batch_size, n_train) * pace.step_image
    if features is None:
        features = (n_val if spec.data.folds else n_train + n_val) * pace.val_image
    return random_init + features + lr_range


def _pace(context: WorkerContext, materials: TrainingMaterials) -> Pace:
    recipe, catalog = context.study.spec.recipe, materials.catalog
    assert catalog is not None
    n_train = sample_size(len(catalog.class_names), recipe)
    sample = sample_of(catalog, n_train, recipe.batch_size)
    images = decode_sample(sample, recipe.image_size, recipe.eval_crop, recipe.resize)
    data = FineTuneData.on_device(images, context.device)
    return measure_pace(materials.backbone, data, recipe, context.device, _MEASURE_SECONDS)
