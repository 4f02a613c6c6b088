"""Top-1 accuracy on the evaluation crop."""

import torch
from torch import nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import DeviceImages, val_batches
from tlsearch.spec import RecipeSpec

_BATCH_SIZE = 200


@torch.inference_mode()
def accuracy(
    model: nn.Module, images: DeviceImages, recipe: RecipeSpec, statistics: InputStatistics
) -> float:
    """Return the fraction of images whose highest output is their label.

    Leaves the model in evaluation mode.
    """
    model.eval()
    device_type = images.labels.device.type
    n_right = torch.zeros((), dtype=torch.int64, device=images.labels.device)
    for batch, labels in val_batches(
        images, recipe, statistics.mean, statistics.std, batch_size=_BATCH_SIZE
    ):
        with torch.autocast(device_type, torch.bfloat16, enabled=device_type == "cuda"):
            outputs = model(batch)
        n_right += (outputs.argmax(dim=1) == labels).sum()
    return int(n_right) / len(images.labels)
