"""Evaluates the model that a training would keep if it ended now, without changing the training."""

from contextlib import nullcontext

from torch import nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import DeviceImages, evaluation_batches
from tlsearch.finetune.batch_norm import clean_sample, recalibrate, restored, statistics_of
from tlsearch.finetune.evaluate import Evaluation, evaluate
from tlsearch.spec import RecipeSpec


def validate(
    model: nn.Module,
    train: DeviceImages,
    val: DeviceImages,
    recipe: RecipeSpec,
    statistics: InputStatistics,
    *,
    last: bool,
) -> Evaluation:
    """Evaluate a model under training as its recipe says.

    Args:
        model: the model; in evaluation mode afterwards.
        train: training images, for the statistics of batch-norm layers.
        val: what it is evaluated on.
        recipe: of the training.
        statistics: of the pixels.
        last: the training is over, so the model becomes the one that was evaluated; otherwise it is
            as before.
    """
    changed = statistics_of(model) if recipe.batch_norm == "recalibrated" else []
    with nullcontext() if last else restored(changed):
        if recipe.batch_norm == "recalibrated":
            sample = clean_sample(len(train), recipe.seed)
            batches = evaluation_batches(train, recipe, statistics.mean, statistics.std, sample)
            recalibrate(model, (images for images, _ in batches))
        return evaluate(model, val, recipe, statistics)
