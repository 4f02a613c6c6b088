"""Predictions on the evaluation crop, and how good they are."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import DeviceImages, in_batches_that_fit, val_batches
from tlsearch.finetune.figures import figures_of
from tlsearch.finetune.guards import mixed_precision
from tlsearch.records.objective import Figures
from tlsearch.spec import RecipeSpec

_BATCH_SIZE = 200


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The predictions of a model for some images.

    Attributes:
        predictions: int64 (n,) on the CPU, the class with the highest output, in order.
        probabilities: float32 (n, n_classes) on the CPU, softmax of the outputs.
        figures: accuracy and the other figures of the predictions.
    """

    predictions: Tensor
    probabilities: Tensor
    figures: Figures

    @property
    def accuracy(self) -> float:
        """Top-1, a fraction."""
        return self.figures.accuracy


@torch.inference_mode()
def evaluate(
    model: nn.Module, images: DeviceImages, recipe: RecipeSpec, statistics: InputStatistics
) -> Evaluation:
    """Predict every image; waits for the device only after the last one.

    The model is in evaluation mode afterwards.
    """
    model.eval()
    mean, std = statistics.mean, statistics.std

    def outputs_in(batch_size: int) -> Tensor:
        found = []
        for batch, _ in val_batches(images, recipe.for_evaluation(), mean, std, batch_size):
            with mixed_precision(batch.device):
                outputs = model(batch)
            found.append(outputs.float())
        return torch.cat(found)

    outputs = in_batches_that_fit(_BATCH_SIZE, outputs_in)
    figures = figures_of(outputs, images.labels)
    return Evaluation(outputs.argmax(dim=1).cpu(), outputs.softmax(dim=1).cpu(), figures)
