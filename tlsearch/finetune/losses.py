"""The loss of a training step: cross-entropy or focal loss, perhaps with weights of the classes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tlsearch.finetune.several_labels import build_several_labels_loss
from tlsearch.spec import RecipeSpec

BatchLoss = Callable[[Tensor, Tensor], Tensor]  # the mean of outputs and labels (b, n_classes)

_LEAST = 1e-6  # of 1 - p, where a power below 1 would have no slope


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """The loss of a batch.

    Attributes:
        label_smoothing: share of each label that is spread over all classes.
        focal_gamma: of the focal loss; None = cross-entropy.
        weights: float32 (n_classes,), of the classes, with a mean of 1 over the training images;
            None = all count alike.
        weighted: whether labels are shares of the classes times the weight of each image.
    """

    label_smoothing: float
    focal_gamma: float | None = None
    weights: Tensor | None = None
    weighted: bool = False

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss, a scalar.

        Args:
            outputs: float32 (b, n_classes), before the softmax.
            labels: int64 (b,) class indices, or float32 (b, n_classes) shares of the classes.
        """
        if self.weighted:
            sizes = labels.sum(dim=1)
            return (self._each(outputs, labels / sizes[:, None]) * sizes).mean()
        if self.focal_gamma is None and self.weights is None:
            return F.cross_entropy(outputs, labels, label_smoothing=self.label_smoothing)
        return self._each(outputs, labels).mean()

    def _each(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, float32 (b,)."""
        if self.focal_gamma is None:
            smoothing = self.label_smoothing
            each = F.cross_entropy(outputs, labels, label_smoothing=smoothing, reduction="none")
        else:
            each = focal_losses(outputs, labels, self.focal_gamma, self.label_smoothing)
        if self.weights is not None:
            each = each * image_weights(self.weights, labels)
        return each


def build_loss(
    recipe: RecipeSpec, labels: Tensor, n_classes: int, *, weighted: bool = False
) -> BatchLoss:
    """Return the loss that a recipe names.

    Args:
        recipe: for the loss, its weights and the label smoothing.
        labels: int64 (n,) of the training images, of several labels (n, n_classes); the weights
            come to their device.
        n_classes: outputs of the classifier.
        weighted: whether the images have weights, which come with their labels.
    """
    if labels.ndim == 2:
        return build_several_labels_loss(recipe, labels)
    gamma = recipe.focal_gamma if recipe.loss == "focal" else None
    if recipe.class_weights == "none":
        return Loss(recipe.label_smoothing, gamma, weighted=weighted)
    counts = torch.bincount(labels.cpu(), minlength=n_classes)
    raw = (
        inverse_weights(counts)
        if recipe.class_weights == "inverse"
        else effective_weights(counts, recipe.class_weights_beta)
    )
    weights = scaled_to_images(raw, counts).float().to(labels.device)
    return Loss(recipe.label_smoothing, gamma, weights, weighted)


def focal_losses(outputs: Tensor, labels: Tensor, gamma: float, smoothing: float) -> Tensor:
    """Return the focal loss of each image, float32 (b,).

    Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection" (ICCV 2017), equation
    4, of the softmax: -(1 - p)^gamma log p, so that images which are right already count for less.
    With shares of the classes it is the sum over them of share times that.

    Args:
        outputs: (b, n_classes), before the softmax.
        labels: int64 (b,), or shares of the classes (b, n_classes).
        gamma: 0 = cross-entropy.
        smoothing: share of each label that is spread over all classes.
    """
    logs = outputs.log_softmax(dim=1)
    n_classes = outputs.shape[1]
    shares = F.one_hot(labels, n_classes).to(outputs.dtype) if labels.ndim == 1 else labels
    shares = shares * (1 - smoothing) + smoothing / n_classes
    factors = (1 - logs.exp()).clamp(min=_LEAST) ** gamma
    return -(shares * factors * logs).sum(dim=1)


def inverse_weights(counts: Tensor) -> Tensor:
    """Return 1 / n for each class of n images, float64; 0 for a class without any."""
    numbers = counts.double()
    return torch.where(counts > 0, 1 / numbers.clamp(min=1), torch.zeros_like(numbers))


def effective_weights(counts: Tensor, beta: float) -> Tensor:
    """Return one over the effective number of images of each class, float64; 0 without any.

    Cui, Jia, Lin, Song, Belongie, "Class-balanced loss based on effective number of samples" (CVPR
    2019), equation 3: E = (1 - beta^n) / (1 - beta). Between no weights (beta 0) and the inverse
    numbers (beta toward 1).

    Args:
        counts: int64 (n_classes,), images of each class.
        beta: at least 0, below 1.
    """
    numbers = counts.double()
    effective = (1 - torch.full_like(numbers, beta) ** numbers) / (1 - beta)
    return torch.where(counts > 0, 1 / effective.clamp(min=1e-12), torch.zeros_like(numbers))


def scaled_to_images(weights: Tensor, counts: Tensor) -> Tensor:
    """Scale weights of classes so that their mean over the images is 1.

    So a loss keeps its size, and learning rates keep their meaning.
    """
    return weights * (counts.sum() / (weights * counts).sum())


def image_weights(weights: Tensor, labels: Tensor) -> Tensor:
    """Return the weight of each image (b,): that of its class, or the mean by its shares."""
    return weights[labels] if labels.ndim == 1 else labels @ weights
