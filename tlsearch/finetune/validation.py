"""Evaluates the model that a training would keep if it ended now, without changing the training."""

from contextlib import nullcontext

from torch import nn

from tlsearch.backbones import InputStatistics
from tlsearch.finetune.batch_norm import recalibrate_on, restored, statistics_of
from tlsearch.finetune.ema import WeightAverage
from tlsearch.finetune.evaluate import Evaluation, evaluate
from tlsearch.finetune.images import FineTuneData
from tlsearch.spec import RecipeSpec


def validate(
    model: nn.Module,
    data: FineTuneData,
    recipe: RecipeSpec,
    statistics: InputStatistics,
    average: WeightAverage | None = None,
    *,
    last: bool,
) -> Evaluation:
    """Evaluate a model under training as its recipe says.

    Args:
        model: the model; in evaluation mode afterwards.
        data: training images, for the statistics of batch-norm layers, and validation images.
        recipe: of the training.
        statistics: of the pixels.
        average: of its weights, which replaces them; None = the weights themselves.
        last: the training is over, so the model becomes the one that was evaluated; otherwise it is
            as before.
    """
    changed = average.followed if average is not None else []
    if recipe.batch_norm == "recalibrated":
        changed = changed or statistics_of(model)
    with nullcontext() if last else restored(changed):
        if average is not None:
            average.write()
        if recipe.batch_norm == "recalibrated":
            recalibrate_on(model, data.clean or data.train, recipe, statistics)
        return evaluate(model, data.val, recipe, statistics)
