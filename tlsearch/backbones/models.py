"""Builds timm classifiers with fresh weights that a seed decides."""

import difflib
from dataclasses import dataclass
from typing import Any, Literal

import timm
import torch
from timm.layers import DropPath
from torch import nn

from tlsearch.backbones.sizes import cannot_take, size_arguments
from tlsearch.errors import BackboneError, first_line


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Per-channel mean and standard deviation the weights were trained with, of RGB in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


DropRate = float | Literal["timm"]


@dataclass(frozen=True, slots=True)
class Dropping:
    """What a network drops at random in training; `timm` = as timm builds it: mostly nothing.

    Attributes:
        dropout: probability that an input of the classifier is dropped (timm's `drop_rate`).
        drop_path: probability that the last residual branch is dropped for an image, less toward
            the input (timm's `drop_path_rate`); Huang et al., "Deep networks with stochastic
            depth" (ECCV 2016).
    """

    dropout: DropRate = "timm"
    drop_path: DropRate = "timm"

    def arguments(self) -> dict[str, float]:
        """Return those that are given, by timm's names."""
        named = {"drop_rate": self.dropout, "drop_path_rate": self.drop_path}
        return {name: rate for name, rate in named.items() if rate != "timm"}


AS_TIMM_BUILDS_IT = Dropping()


def build(
    name: str,
    n_classes: int,
    seed: int,
    image_size: int | None = None,
    dropping: Dropping = AS_TIMM_BUILDS_IT,
) -> nn.Module:
    """Build a model with fresh weights.

    Every classifier gets the initial weights of `nn.Linear` (uniform, Kaiming with a = sqrt 5),
    as in the published code; those of some timm models are ten times larger.

    Args:
        name: timm model name.
        n_classes: outputs of the classifier.
        seed: of all fresh weights.
        image_size: side of the square images, pixels; used by models with position embeddings.
        dropping: what it drops in training; the fresh weights do not depend on it.

    Raises:
        BackboneError: there is no such model, or it cannot be built as a classifier of this size.
    """
    check_name(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(name, n_classes, image_size, dropping)
        for key in classifier_names(model, name):
            _reset(model.get_submodule(key), f"backbone.model {name}: its classifier {key}")
    return model


def _reset(module: nn.Module, what: str) -> None:
    """Give a module, and those inside it, the initial weights that torch gives them."""
    resets = [getattr(each, "reset_parameters", None) for each in module.modules()]
    if not any(resets):
        raise BackboneError(
            f"{what} is a {type(module).__name__}, which has no reset_parameters; choose a model "
            "with a linear classifier"
        )
    for reset in filter(None, resets):
        reset()


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
        BackboneError: the configuration names no classifier, or the model has none.
    """
    given: str | tuple[str, ...] | None = _config(model).get("classifier")
    names = (given,) if isinstance(given, str) else tuple(given or ())
    keys = [key for key in model.state_dict() if key.startswith(tuple(f"{n}." for n in names))]
    if not keys:
        raise BackboneError(
            f"backbone.model {name}: timm builds it without a classifier; choose a classification "
            "model"
        )
    return names


def input_statistics(model: nn.Module) -> InputStatistics:
    """Return the pixel statistics that the model's pretrained weights need."""
    config = _config(model)
    return InputStatistics(mean=tuple(config["mean"]), std=tuple(config["std"]))


def native_size(name: str) -> int | None:
    """Return the side of the square images that a model's weights were trained with, pixels.

    None where timm does not say, or the images are not square.

    Raises:
        BackboneError: timm has no model of this name.
    """
    check_name(name)
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.input_size:
        return None
    _, height, width = config.input_size
    return int(height) if height == width else None


def _config(model: nn.Module) -> dict[str, Any]:
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    return config


def check_dropping(name: str, image_size: int, dropping: Dropping) -> None:
    """Check that a network can drop what it is to drop.

    Raises:
        BackboneError: it has no dropout, or no stochastic depth.
    """
    rate, path_rate = dropping.dropout, dropping.drop_path
    if rate != "timm" and not _has_dropout(name, image_size, rate):
        raise BackboneError(
            f"recipe.dropout = {rate:g}: {name} has no dropout before its classifier; leave the "
            "key out, or choose another network"
        )
    if path_rate != "timm" and not _has_drop_path(name, image_size, path_rate):
        raise BackboneError(
            f"recipe.drop_path = {path_rate:g}: {name} has no stochastic depth; leave the key out, "
            "or choose another network"
        )


def _has_dropout(name: str, image_size: int, rate: float) -> bool:
    model = _create_if_it_takes(name, image_size, Dropping(dropout=rate))
    if model is None:
        return False
    modules = (module for module in model.modules() if isinstance(module, nn.Dropout))
    return getattr(model, "drop_rate", None) == rate or any(m.p == rate for m in modules)


def _has_drop_path(name: str, image_size: int, rate: float) -> bool:
    model = _create_if_it_takes(name, image_size, Dropping(drop_path=rate))
    if model is None:
        return False
    return rate == 0 or any(isinstance(module, DropPath) for module in model.modules())


def _create_if_it_takes(name: str, image_size: int, dropping: Dropping) -> nn.Module | None:
    try:
        return _create(name, 2, image_size, dropping)
    except BackboneError as error:
        if isinstance(error.__cause__, TypeError):  # an unknown argument
            return None
        raise


def _create(name: str, n_classes: int, image_size: int | None, dropping: Dropping) -> nn.Module:
    """Create the model; give it the image size only if it has a fixed input size."""
    more: dict[str, Any] = dict(dropping.arguments())
    try:
        sized = size_arguments(name, image_size)
    except Exception as error:
        raise BackboneError(cannot_take(name, image_size or 0, first_line(error))) from error
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=n_classes, **more)
        if sized:  # not the only one that is built, so that a seed gives what it always gave
            model = timm.create_model(
                name, pretrained=False, num_classes=n_classes, **more, **sized
            )
    except Exception as error:
        raise BackboneError(
            f"backbone.model {name}: timm cannot build it with {n_classes} classes"
            f"{f' at {image_size} pixels' if image_size else ''} ({first_line(error)})"
        ) from error
    return model
