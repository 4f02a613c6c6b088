"""Predictions on the evaluation crop, and how good they are."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import DeviceImages, evaluated_at_once, in_batches_that_fit, val_batches
from tlsearch.finetune.figures import figures_of
from tlsearch.finetune.guards import mixed_precision
from tlsearch.finetune.several_labels import figures_of_several
from tlsearch.records import PredictedLabel
from tlsearch.records.objective import THRESHOLD, Figures
from tlsearch.spec import RecipeSpec


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The predictions of a model for some images.

    Attributes:
        outputs: float32 (n, n_classes) on the device, before the softmax.
        predictions: for each image, in order, the class with the highest output; of several labels
            those with a probability of at least `THRESHOLD`.
        probabilities: float32 (n, n_classes) on the CPU, softmax of the outputs; of several labels
            sigmoid.
        figures: accuracy and the other figures of the predictions.
    """

    outputs: Tensor
    predictions: tuple[PredictedLabel, ...]
    probabilities: Tensor
    figures: Figures

    @classmethod
    def of(cls, outputs: Tensor, labels: Tensor) -> "Evaluation":
        """Return what follows from the outputs for images.

        Args:
            outputs: float32 (n, n_classes), before the softmax or sigmoid.
            labels: int64 (n,) on their device; of several labels (n, n_classes) of 0 and 1.
        """
        if labels.ndim == 2:
            figures, probabilities = figures_of_several(outputs, labels), outputs.sigmoid().cpu()
            return cls(outputs, _several(probabilities), probabilities, figures)
        figures, probabilities = figures_of(outputs, labels), outputs.softmax(dim=1).cpu()
        return cls(outputs, tuple(outputs.argmax(dim=1).tolist()), probabilities, figures)

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
    seen, mean, std = recipe.for_evaluation(), statistics.mean, statistics.std

    def outputs_in(batch_size: int) -> Tensor:
        found = []
        for batch, _ in val_batches(images, seen, mean, std, batch_size):
            with mixed_precision(batch.device):
                outputs = model(batch)
            found.append(outputs.float())
        return torch.cat(found)

    outputs = in_batches_that_fit(evaluated_at_once(seen.image_size), outputs_in)
    return Evaluation.of(outputs, images.labels)


def _several(probabilities: Tensor) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row.nonzero().flatten().tolist()) for row in probabilities >= THRESHOLD)
