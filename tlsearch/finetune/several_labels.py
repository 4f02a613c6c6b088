"""The loss and the figures where an image has several labels: a yes or no for each class."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tlsearch.records.objective import THRESHOLD, Figures
from tlsearch.spec import RecipeSpec

_LEAST = 1e-6  # of 1 - p, where a power below 1 would have no slope


@dataclass(frozen=True, slots=True, eq=False)
class SeveralLabelsLoss:
    """The loss of a batch: binary cross-entropy, or the focal loss of Lin et al. (ICCV 2017).

    That of an image is the sum over the classes, so the slope of an output is p - y, as with
    cross-entropy of one label, and learning rates keep their meaning.

    Attributes:
        label_smoothing: share of each answer that is moved to one half.
        focal_gamma: of the focal loss; None = binary cross-entropy.
        weights: float32 (2, n_classes): of the images without, and with each label, with a mean of
            1 over the training images; None = all count alike.
    """

    label_smoothing: float
    focal_gamma: float | None = None
    weights: Tensor | None = None

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the images, a scalar.

        Args:
            outputs: float32 (b, n_classes), before the sigmoid.
            labels: (b, n_classes), from 0 to 1.
        """
        given = labels.to(outputs.dtype)
        answers = torch.stack([1 - given, given])
        answers = answers * (1 - self.label_smoothing) + self.label_smoothing / 2
        logs = torch.stack([F.logsigmoid(-outputs), F.logsigmoid(outputs)])
        if self.focal_gamma is not None:
            logs = (1 - logs.exp()).clamp(min=_LEAST) ** self.focal_gamma * logs
        each = answers * logs
        if self.weights is not None:
            each = each * self.weights[:, None]
        return -each.sum(dim=(0, 2)).mean()


def build_several_labels_loss(recipe: RecipeSpec, labels: Tensor) -> SeveralLabelsLoss:
    """Return the loss that a recipe names.

    Each class is a problem of two answers, so weights of classes are weights of its two answers:
    of n images, n+ of which have the label, `inverse` is n / 2n+ and n / 2n-, and `effective` the
    inverse of the effective numbers (Cui et al. 2019, equation 3) with the same mean of 1.

    Args:
        recipe: for the loss, its weights and the label smoothing.
        labels: (n, n_classes) of 0 and 1, of the training images; weights come to their device.
    """
    gamma = recipe.focal_gamma if recipe.loss == "focal" else None
    if recipe.class_weights == "none":
        return SeveralLabelsLoss(recipe.label_smoothing, gamma)
    having = labels.cpu().double().sum(dim=0)
    numbers = torch.stack([len(labels) - having, having])
    if recipe.class_weights == "inverse":
        effective = numbers
    else:
        beta = torch.full_like(numbers, recipe.class_weights_beta)
        effective = (1 - beta**numbers) / (1 - beta)
    raw = torch.where(numbers > 0, 1 / effective.clamp(min=1e-12), torch.zeros_like(numbers))
    weights = raw * len(labels) / (raw * numbers).sum(dim=0)
    return SeveralLabelsLoss(recipe.label_smoothing, gamma, weights.float().to(labels.device))


def figures_of_several(outputs: Tensor, labels: Tensor) -> Figures:
    """Return the figures, as scikit-learn defines them; waits for the device once.

    An image is predicted to have the labels with a probability of at least `THRESHOLD`. Accuracy
    is the share of images all of whose labels are right, log loss the mean over images and classes.

    Args:
        outputs: float (n, n_classes), before the sigmoid.
        labels: (n, n_classes) of 0 and 1.
    """
    wide = outputs.double()
    predicted = wide.sigmoid() >= THRESHOLD
    has = labels.bool()
    hits = (predicted & has).sum(dim=0)
    both = predicted.sum(dim=0) + has.sum(dim=0)
    f1 = 2 * hits / both.clamp(min=1)
    found = (
        (predicted == has).all(dim=1).double().mean(),
        f1.sum() / (both > 0).sum(),
        F.binary_cross_entropy_with_logits(wide, labels.double()),
        average_precisions(wide, labels).nanmean(),
    )
    accuracy, macro_f1, log_loss, precision = torch.stack(found).tolist()
    return Figures(accuracy, None, macro_f1, log_loss, precision)


def average_precisions(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the average precision of each class, float64 (n_classes,).

    The sum over thresholds of precision times the step in recall, images of equal scores in one
    step, as `sklearn.metrics.average_precision_score`; NaN of a class that no image has.

    Args:
        scores: (n, n_classes), larger for images that rather have the label.
        labels: (n, n_classes) of 0 and 1.
    """
    ordered, order = scores.sort(dim=0, descending=True)
    has = labels.double().gather(0, order)
    places = torch.arange(len(scores), device=scores.device)[:, None].expand_as(order)
    is_last = torch.ones_like(order, dtype=torch.bool)  # of a run of equal scores
    is_last[:-1] = ordered[1:] != ordered[:-1]
    end = torch.where(is_last, places, len(scores)).flip(0).cummin(dim=0).values.flip(0)
    precision = has.cumsum(dim=0).gather(0, end) / (end + 1)
    return (has * precision).sum(dim=0) / has.sum(dim=0)
