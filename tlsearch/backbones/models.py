"""Builds timm classifiers with fresh weights that a seed decides."""

import difflib
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import nn

from tlsearch.errors import BackboneError, first_line


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Per-channel mean and standard deviation the weights were trained with, of RGB in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build(name: str, n_classes: int, seed: int, image_size: int | None = None) -> nn.Module:
    """Build a model with fresh weights.

    Every classifier gets the initial weights of `nn.Linear` (uniform, Kaiming with a = sqrt 5),
    as in the published code; those of some timm models are ten times larger.

    Args:
        name: timm model name.
        n_classes: outputs of the classifier.
        seed: of all fresh weights.
        image_size: side of the square images, pixels; used by models with position embeddings.

    Raises:
        BackboneError: there is no such model, or it cannot be built as a classifier of this size.
    """
    check_name(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(name, n_classes, image_size)
        for key in classifier_names(model, name):
            module = model.get_submodule(key)
            reset = getattr(module, "reset_parameters", None)
            if reset is None:
                raise BackboneError(
                    f"backbone.model {name}: its classifier {key} is a {type(module).__name__}, "
                    "which has no reset_parameters; choose a model with a linear classifier"
                )
            reset()
    return model


def check_name(name: str) -> None:
    """Check that timm has a model of this name.

    Raises:
        BackboneError: it has none; the message suggests similar names.
    """
    if timm.is_model(name):
        return
    close = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() lists them all"
    raise BackboneError(f"backbone.model {name}: timm has no such model; {hint}")


def classifier_names(model: nn.Module, name: str) -> tuple[str, ...]:
    """Return the module names of the classifier, from the model's timm configuration.

    Raises:
        BackboneError: the configuration names no classifier.
    """
    names: str | tuple[str, ...] | None = _config(model).get("classifier")
    if not names:
        raise BackboneError(
            f"backbone.model {name}: timm names no classifier for it; choose a classification model"
        )
    return (names,) if isinstance(names, str) else tuple(names)


def input_statistics(model: nn.Module) -> InputStatistics:
    """Return the pixel statistics that the model's pretrained weights need."""
    config = _config(model)
    return InputStatistics(mean=tuple(config["mean"]), std=tuple(config["std"]))


def _config(model: nn.Module) -> dict[str, Any]:
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    return config


def _create(name: str, n_classes: int, image_size: int | None) -> nn.Module:
    """Create the model; give it the image size only if it has a fixed input size."""
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=n_classes)
        if image_size and _config(model).get("fixed_input_size"):
            model = timm.create_model(
                name, pretrained=False, num_classes=n_classes, img_size=image_size
            )
    except Exception as error:
        raise BackboneError(
            f"backbone.model {name}: timm cannot build it with {n_classes} classes"
            f"{f' at {image_size} pixels' if image_size else ''} ({first_line(error)})"
        ) from error
    return model
