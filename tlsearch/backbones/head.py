"""A linear classifier that was trained apart from the network it is put on."""

from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    """Whether a network's outputs are one linear layer of its pooled features, and nothing else.

    If so, a linear classifier that was trained on these features can take its place.
    """
    model = build(backbone.name, 2, seed=0, image_size=backbone.image_size).eval()
    found = _linear(model, backbone.name)
    if found is None:
        return False
    weight, bias = found
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(), suppress(BackboneError, RuntimeError):
        _unlike_identity(model, generator)
        images = torch.randn(2, 3, backbone.image_size, backbone.image_size, generator=generator)
        pooled = pooled_features(model, images)
        outputs = functional.linear(pooled, weight.flatten(1), bias)
        return torch.allclose(outputs, model(images), rtol=1e-3, atol=1e-4)
    return False


def _unlike_identity(model: nn.Module, generator: torch.Generator) -> None:
    """Give batch norm statistics that show; a fresh one in a head would go unseen."""
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))


def _linear(model: nn.Module, name: str) -> tuple[Tensor, Tensor] | None:
    """Return weight and bias of the classifier; None where it is not one linear layer."""
    names = classifier_names(model, name)
    classifier = model.get_submodule(names[0])
    weight, bias = (getattr(classifier, part, None) for part in ("weight", "bias"))
    if len(names) > 1 or not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
        return None
    return weight, bias
