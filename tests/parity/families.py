"""The families of timm, a small network of each, and what a study asks of it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import timm
import torch

from tlsearch.backbones import (
    Backbone,
    build,
    has_linear_head,
    layers_of,
    load_backbone,
    native_size,
    pooled_features,
)
from tlsearch.errors import BackboneError

MOST_PARAMETERS = 60e6  # of what is built with values; larger networks stay on the meta device


@dataclass(frozen=True)
class Member:
    """A network: its family (timm's module), name, and number of parameters."""

    family: str
    name: str
    n_parameters: int


@dataclass(frozen=True)
class Found:
    """What came of a network: how its layers are ordered, whether it takes a probe, or why not."""

    member: Member
    order: str = ""
    takes_head: bool | None = None
    refused: str | None = None


def every_network() -> list["Found"]:
    """What came of building each network that timm lists, on the meta device."""
    return [
        refusal_of(Member(family, name, 0), structure)
        for family in timm.list_modules()
        for name in timm.list_models(module=family)
    ]


def smallest(found: Sequence["Found"]) -> list["Found"]:
    """Of each family the classifier with the fewest parameters, or a refused network."""
    families: dict[str, list[Found]] = {}
    for each in found:
        families.setdefault(each.member.family, []).append(each)
    return [
        min(members, key=lambda each: (each.refused is not None, each.member.n_parameters))
        for members in families.values()
    ]


def refusal_of(member: Member, step: Callable[[Member], Found]) -> Found:
    """Do something with a network, and say why where it is refused."""
    try:
        return step(member)
    except BackboneError as error:
        return Found(member, refused=str(error))


def structure(member: Member) -> Found:
    """Build it on the meta device, and order its layers."""
    with torch.device("meta"), warnings.catch_warnings(action="ignore"):
        model = build(member.name, 7, seed=0)
    layers = layers_of(model, member.name)
    assert set(layers.index_of) == set(model.state_dict())
    assert layers.n_body >= 2
    assert set(layers.index_of.values()) == set(range(layers.n_body + 1))
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return Found(replace(member, n_parameters=n_parameters), layers.order)


def saved(name: str, folder: Path) -> Path:
    """Save random weights of a network as timm builds it, and as a training would nest them."""
    path = folder / f"{name}.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = timm.create_model(name).state_dict()
    safetensors.torch.save_file({key: t.clone() for key, t in state.items()}, path)
    return path


def loaded(member: Member, folder: Path, image_size: int | None = None) -> Backbone:
    """Load saved weights at a size, by default the network's own."""
    path = saved(member.name, folder)
    try:
        size = image_size or native_size(member.name) or 224
        return load_backbone(member.name, str(path), size)
    finally:
        path.unlink()


def whole(member: Member, folder: Path) -> Found:
    """Load its weights, and ask of it what a study does before it trains."""
    backbone = loaded(member, folder)
    size, own = backbone.image_size, torch.Generator().manual_seed(0)
    model = build(member.name, 7, seed=0, image_size=size).eval()
    images = torch.randn(2, 3, size, size, generator=own)
    with torch.inference_mode():
        assert model(images).shape == (2, 7)
        pooled = pooled_features(model, images)
    assert pooled.shape[0] == 2
    assert pooled.ndim == 2
    return Found(member, backbone.layers.order, has_linear_head(backbone))
