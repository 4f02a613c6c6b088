"""A linear classifier that was trained apart from the network it is put on."""

from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlsearch.backbones.models import build, classifier_names
from tlsearch.backbones.weights import Backbone
from tlsearch.errors import BackboneError


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear classifier on pooled features.

    Attributes:
        weight: float32 (n_classes, d), on the CPU.
        bias: float32 (n_classes,), on the CPU.
        label: what it was trained on and how; two heads with one label are the same but for
            rounding, so a training that began with one may go on where the other is at hand.
    """

    weight: Tensor
    bias: Tensor
    label: str


def put_head(model: nn.Module, name: str, head: LinearHead) -> None:
    """Set the weights of a model's classifier.

    Args:
        model: the model, on any device.
        name: what to call it in errors.
        head: the weights.

    Raises:
        BackboneError: its classifier is not one linear layer of this size.
    """
    names = classifier_names(model, name)
    found = _linear(model, name)
    if (
        found is None
        or found[0].numel() != head.weight.numel()
        or found[1].shape != head.bias.shape
    ):
        raise BackboneError(
            f"backbone.model {name}: its classifier ({', '.join(names)}) is not one linear layer "
            f"on {head.weight.shape[1]} pooled features, so none on fixed features fits it; "
            'choose another network, or set measures.when = "off" and let space.reinit_layers '
            "begin at 1"
        )
    weight, bias = found
    with torch.no_grad():
        weight.copy_(head.weight.reshape(weight.shape))
        bias.copy_(head.bias)


def pooled_features(model: nn.Module, images: Tensor) -> Tensor:
    """Return what the classifier gets of each image, (b, d).

    Args:
        model: a timm classifier.
        images: float32 (b, 3, size, size).

    Raises:
        BackboneError: the network has no pooled features.
    """
    try:
        maps = model.forward_features(images)  # type: ignore[operator]
        features: Tensor = model.forward_head(maps, pre_logits=True)  # type: ignore[operator]
    except (AttributeError, TypeError) as error:
        raise BackboneError(
            f"{type(model).__name__} has no pooled features (timm's forward_head with "
            'pre_logits); set measures.when = "off", or choose another network'
        ) from error
    return features.flatten(1)


def has_linear_head(backbone: Backbone) -> bool:
    """Whether a network's classifier is one linear layer on its pooled features.

    If so, a linear classifier that was trained on these features can take its place.
    """
    model = build(backbone.name, 2, seed=0, image_size=backbone.image_size).eval()
    found = _linear(model, backbone.name)
    side = backbone.image_size
    with torch.inference_mode(), suppress(BackboneError, RuntimeError):
        pooled = pooled_features(model, torch.zeros(1, 3, side, side))
        return found is not None and found[0].numel() == 2 * pooled.shape[1]
    return False


def _linear(model: nn.Module, name: str) -> tuple[Tensor, Tensor] | None:
    """Return weight and bias of the classifier; None where it is not one linear layer."""
    names = classifier_names(model, name)
    classifier = model.get_submodule(names[0])
    weight, bias = (getattr(classifier, part, None) for part in ("weight", "bias"))
    if len(names) > 1 or not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
        return None
    return weight, bias
