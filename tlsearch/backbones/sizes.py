"""Image sizes: how timm builds a network for one, and whether the network takes it."""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import MappingProxyType

import timm
import torch
from timm.layers import to_2tuple
from torch import Tensor, nn

from tlsearch.errors import BackboneError, first_line, is_memory_shortage

SizeArguments = Mapping[str, int | bool]

_NOTHING: SizeArguments = MappingProxyType({})
_GRIDS = (32, 28, 16, 14, 12)  # pixels: networks take multiples of one of them
_AROUND = 64  # pixels: how far to look for sizes that a network takes
_MOST_TRIED = 12
_REFUSALS = (RuntimeError, AssertionError, ValueError, TypeError, IndexError, ZeroDivisionError)


@cache
def size_arguments(name: str, image_size: int | None) -> SizeArguments:
    """Return what timm needs to build a network for square images of a size.

    Nothing where the network takes images of any size as it is, or no other size. Networks with
    position embeddings get `img_size`; where they can resample these for images of yet other sizes
    (timm's `dynamic_img_size`), they may, so they can be evaluated at another size.

    Args:
        name: timm model name.
        image_size: side of the images, pixels; None = the network's own.
    """
    config = timm.get_pretrained_cfg(name)
    if not image_size or config is None or not config.fixed_input_size:
        return _NOTHING
    with torch.random.fork_rng(devices=[]):
        try:
            model = timm.create_model(name, pretrained=False, num_classes=2, img_size=image_size)
        except TypeError:  # it has no such argument
            return _NOTHING
        if not _can_be_dynamic(model, image_size):
            return MappingProxyType({"img_size": image_size})
    return MappingProxyType({"img_size": image_size, "dynamic_img_size": True})


def _can_be_dynamic(model: nn.Module, image_size: int) -> bool:
    patch_size = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    if patch_size is None or any(image_size % side for side in to_2tuple(patch_size)):
        return False
    return "dynamic_img_size" in inspect.signature(type(model).__init__).parameters


def refusal(model: nn.Module, image_size: int, *, training: bool = False) -> str | None:
    """Return why a network does not take one image of a size; None where it does.

    Args:
        model: a classifier, on the CPU; in the mode that is given afterwards.
        image_size: side of the image, pixels.
        training: whether in training mode.

    Raises:
        RuntimeError: there is too little memory.
    """
    model.train(training)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            found = model(torch.zeros(1, 3, image_size, image_size))
    except _REFUSALS as error:
        if is_memory_shortage(error):
            raise
        return first_line(error)
    if not isinstance(found, Tensor) or found.ndim != 2:
        return "its output is not one row of classes an image"
    return None


def check_takes(model: nn.Module, name: str, image_size: int) -> None:
    """Check that a network takes images of a size.

    Args:
        model: the network, built for that size; in evaluation mode afterwards.
        name: timm model name.
        image_size: side of the images, pixels.

    Raises:
        BackboneError: it does not; the message names sizes near it that work.
    """
    if why := refusal(model, image_size):
        raise BackboneError(cannot_take(name, image_size, why))


def cannot_take(name: str, image_size: int, why: str) -> str:
    """Return the sentence for a size that a network does not take."""
    near = sizes_near(name, image_size)
    then = f"take {' or '.join(map(str, near))} pixels" if near else "choose another network"
    return (
        f"backbone.model {name}: it cannot take images of {image_size} pixels ({_short(why)}); "
        f"{then}"
    )


def sizes_near(name: str, image_size: int) -> list[int]:
    """Return sizes that a network takes, in order: the nearest below and above, or its own."""
    config = timm.get_pretrained_cfg(name)
    own = config.input_size[-1] if config is not None else image_size
    grids = {
        grid * (image_size // grid + n)
        for grid in _GRIDS
        for n in range(-(_AROUND // grid), _AROUND // grid + 1)
    }
    tried = sorted(
        (size for size in grids if size >= 16 and size != image_size),
        key=lambda size: abs(size - image_size),
    )
    found: dict[bool, int] = {}
    for size in tried[:_MOST_TRIED]:
        if (size > image_size) not in found and _takes(name, size):
            found[size > image_size] = size
        if len(found) == 2:
            break
    return sorted(found.values()) or ([own] if own != image_size and _takes(name, own) else [])


def _takes(name: str, image_size: int) -> bool:
    with suppress(*_REFUSALS), torch.random.fork_rng(devices=[]):
        sized = size_arguments(name, image_size)
        model = timm.create_model(name, pretrained=False, num_classes=2, **sized)
        return refusal(model, image_size) is None
    return False


def _short(why: str) -> str:
    return why if len(why) <= 120 else f"{why[:117]}..."
