"""The two files by which timm loads a trained network: `model.safetensors` and `config.json`."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from torch import nn

from tlsearch.backbones.models import build
from tlsearch.backbones.weights_file import StateDict
from tlsearch.errors import BackboneError, first_line

WEIGHTS, CONFIG = "model.safetensors", "config.json"
# What timm says of a source of weights or of other classes, which these are not.
_OF_THE_SOURCE = (
    "url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "label_offset",
    "label_names", "label_descriptions", "test_input_size", "test_crop_pct", "pool_size",
    "test_pool_size", "architecture", "tag",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """A trained network as timm will load it.

    Attributes:
        name: timm model name, with or without a weights tag.
        state: all tensors, the classifier's too, on the CPU.
        class_names: in the order of the outputs.
        image_size: side of the square it sees, pixels.
        short_side: to which an image's shorter side is resized first, pixels.
        licence: of the pretrained weights; None = unknown.
    """

    name: str
    state: StateDict
    class_names: Sequence[str]
    image_size: int
    short_side: int
    licence: str | None


def licence_of(name: str) -> str | None:
    """Return the licence that timm states for its weights of this name; None where it does not."""
    config = timm.get_pretrained_cfg(name)
    return config.license if config is not None else None


def hub_id_of(name: str) -> str | None:
    """Return where timm's weights of this name lie on the hub; None where they do not."""
    config = timm.get_pretrained_cfg(name)
    return config.hf_hub_id if config is not None and config.hf_hub_id else None


def network_of(exported: ExportedNetwork) -> nn.Module:
    """Build the network in evaluation mode.

    Raises:
        BackboneError: the tensors do not fit it.
    """
    model = build(exported.name, len(exported.class_names), 0, exported.image_size)
    try:
        model.load_state_dict(dict(exported.state), strict=True)
    except RuntimeError as error:
        raise BackboneError(
            f"the tensors do not fit {exported.name} as timm {timm.__version__} builds it "
            f"({first_line(error)}); install the version of timm that trained it"
        ) from error
    return model.eval()


def files_of(exported: ExportedNetwork) -> dict[str, bytes]:
    """Return the contents of the two files by name, once it is sure that the tensors fit."""
    model = network_of(exported)
    config = json.dumps(timm_config(exported, model), indent=2)
    state = {name: tensor.contiguous() for name, tensor in exported.state.items()}
    weights = safetensors.torch.save(state, {"format": "pt"})
    return {WEIGHTS: weights, CONFIG: config.encode() + b"\n"}


def timm_config(exported: ExportedNetwork, model: nn.Module) -> dict[str, Any]:
    """Return what `config.json` says, in the shape of timm's hub files."""
    source: Mapping[str, Any] = model.pretrained_cfg  # type: ignore[assignment]
    side, n_classes = exported.image_size, len(exported.class_names)
    kept = {k: v for k, v in source.items() if k not in _OF_THE_SOURCE and v is not None}
    kept |= {
        "num_classes": n_classes,
        "input_size": [3, side, side],
        "interpolation": "bicubic",
        "crop_pct": crop_share(side, exported.short_side),
        "crop_mode": "center",
        "custom_load": False,
    }
    kept.pop("license", None)
    if exported.licence:
        kept["license"] = exported.licence
    config = {
        "architecture": exported.name.split(".", maxsplit=1)[0],
        "num_classes": n_classes,
        "num_features": getattr(model, "num_features", None),
        "label_names": list(exported.class_names),
        "pretrained_cfg": kept,
    }
    if source.get("fixed_input_size"):
        config["model_args"] = {"img_size": side}
    return config


def crop_share(image_size: int, short_side: int) -> float:
    """Return the `crop_pct` of which timm makes just this shorter side: floor(size / crop_pct)."""
    share = image_size / short_side
    while math.floor(image_size / share) < short_side:  # rounding
        share = math.nextafter(share, 0)
    return share


def load_exported(folder: Path, n_classes: int) -> nn.Module:
    """Load a network from its two files, as a user of timm does.

    Raises:
        BackboneError: timm cannot load it, or it has other classes.
    """
    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except Exception as error:
        words = " ".join(str(error).split())[:300] or type(error).__name__
        raise BackboneError(f"timm cannot load it ({words}); export the model again") from error
    found = getattr(model, "num_classes", None)
    if found != n_classes:
        raise BackboneError(
            f"its weights are for {found} classes, and there are names of {n_classes}; export the "
            "model again"
        )
    return model.eval()


def check_exported(folder: Path, exported: ExportedNetwork) -> None:
    """Make sure that timm loads what was trained: same tensors, and logits equal to the last bit.

    Raises:
        BackboneError: it does not.
    """
    found, wanted = load_exported(folder, len(exported.class_names)), network_of(exported)
    state = found.state_dict()
    side = exported.image_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, side, side, generator=generator)
    with torch.inference_mode():
        same = state.keys() == exported.state.keys() and all(
            torch.equal(state[name], tensor) for name, tensor in exported.state.items()
        )
        same = same and torch.equal(found(images), wanted(images))
    if not same:
        raise BackboneError(
            f"timm {timm.__version__} loads another network from the exported files of "
            f"{exported.name}; say so to the authors of tlsearch"
        )
