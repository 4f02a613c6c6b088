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
    """Return the seconds of a trial that is not pruned."""
    return pace.setup + spec.recipe.epochs * pace.epoch_seconds(n_train, n_val, spec.recipe)


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
    epoch = pace.epoch_seconds(n_train, n_val, spec.recipe)
    random_init = pace.setup + random_init_epochs(spec) * epoch
    lr_range = STEPS * min(spec.recipe.batch_size, n_train) * pace.step_image
    if features is None:
        features = (n_train + n_val) * pace.val_image
    return random_init + features + lr_range


def _pace(context: WorkerContext, materials: TrainingMaterials) -> Pace:
    recipe, catalog = context.study.spec.recipe, materials.catalog
    assert catalog is not None
    n_train = sample_size(len(catalog.class_names), recipe)
    sample = sample_of(catalog, n_train, recipe.batch_size)
    images = decode_sample(sample, recipe.image_size, recipe.eval_crop, recipe.resize)
    data = FineTuneData.on_device(images, context.device)
    return measure_pace(materials.backbone, data, recipe, context.device, _MEASURE_SECONDS)
