"""Predictions and top-1 accuracy on the evaluation crop."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import DeviceImages, in_batches_that_fit, val_batches
from tlsearch.finetune.guards import mixed_precision
from tlsearch.spec import RecipeSpec

_BATCH_SIZE = 200


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The predictions of a model for some images.

    Attributes:
        predictions: int64 (n,) on the CPU, the class with the highest output, in order.
        probabilities: float32 (n, n_classes) on the CPU, softmax of the outputs.
        accuracy: fraction of images whose prediction is their label.
    """

    predictions: Tensor
    probabilities: Tensor
    accuracy: float


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
    predictions, labels = torch.stack([outputs.argmax(dim=1), images.labels]).cpu()
    accuracy = int((predictions == labels).sum()) / len(labels)
    return Evaluation(predictions, outputs.softmax(dim=1).cpu(), accuracy)
