"""The four figures of predictions, computed where the outputs are."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tlsearch.records.objective import Figures


def figures_of(outputs: Tensor, labels: Tensor) -> Figures:
    """Return the figures, as scikit-learn defines them; waits for the device once.

    Classes that have no image and are never predicted count in no mean.

    Args:
        outputs: float (n, n_classes), before the softmax.
        labels: int64 (n,), class indices.
    """
    predictions = outputs.argmax(dim=1)
    right = (predictions == labels).double()
    none = torch.zeros(outputs.shape[1], dtype=torch.float64, device=outputs.device)
    one = torch.ones_like(right)
    images, predicted = none.index_add(0, labels, one), none.index_add(0, predictions, one)
    hits = none.index_add(0, labels, right)
    recall, f1 = hits / images.clamp(min=1), 2 * hits / (images + predicted).clamp(min=1)
    found = (
        right.mean(),
        recall.sum() / (images > 0).sum(),
        f1.sum() / (images + predicted > 0).sum(),
        F.nll_loss(outputs.log_softmax(dim=1), labels, reduction="none").double().mean(),
    )
    return Figures(*torch.stack(found).tolist())
