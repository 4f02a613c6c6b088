"""Predictions on the evaluation crop, and how good they are."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import DeviceImages, in_batches_that_fit, val_batches
from tlsearch.finetune.figures import figures_of
from tlsearch.finetune.guards import mixed_precision
from tlsearch.finetune.several_labels import figures_of_several
from tlsearch.records import PredictedLabel
from tlsearch.records.objective import THRESHOLD, Figures
from tlsearch.spec import RecipeSpec

_BATCH_SIZE = 200


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The predictions of a model for some images.

    Attributes:
        predictions: for each image, in order, the class with the highest output; of several labels
            those with a probability of at least `THRESHOLD`.
        probabilities: float32 (n, n_classes) on the CPU, softmax of the outputs; of several labels
            sigmoid.
        figures: accuracy and the other figures of the predictions.
    """

    predictions: tuple[PredictedLabel, ...]
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
    if images.labels.ndim == 2:
        figures, probabilities = figures_of_several(outputs, images.labels), outputs.sigmoid().cpu()
        return Evaluation(_several(probabilities), probabilities, figures)
    figures, probabilities = figures_of(outputs, images.labels), outputs.softmax(dim=1).cpu()
    return Evaluation(tuple(outputs.argmax(dim=1).tolist()), probabilities, figures)


def _several(probabilities: Tensor) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row.nonzero().flatten().tolist()) for row in probabilities >= THRESHOLD)
