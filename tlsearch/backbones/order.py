"""The order of layers of networks that declare none, from the order of their modules.

timm's models register their modules in the order in which an image passes them. Those without a
`group_matcher` are stems, then stages that consist of blocks, then a head. `feature_info`, where a
model has it, names the stages in order, so it confirms what is found.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from tlsearch.backbones.keys import within
from tlsearch.errors import BackboneError

Order = Literal["group_matcher", "feature_info", "modules"]

_CONTAINERS = (nn.Sequential, nn.ModuleList)
_STAGES_DEEP = (
    2  # modules inside one another that may consist of blocks: the network and its stages
)


def order_of_modules(
    model: nn.Module, name: str, classifier: Sequence[str]
) -> tuple[list[list[str]], Order]:
    """Return the state-dict keys of each layer from the input, and what the order comes from.

    A layer is a block of a stage, or a module of the network that has no blocks. Tensors that the
    network has beside its modules (position embeddings) belong to the first layer; what a stage has
    beside its blocks belongs to the block that follows, or to the last one. The classifier is the
    last layer; what its head has beside it belongs to the last block.

    Args:
        model: the network.
        name: what to call it in errors.
        classifier: names of the modules that are the classifier.

    Raises:
        BackboneError: it has too few modules for an order, or registers its stages in another order
            than `feature_info` names them.
    """
    units = [
        unit
        for unit in _units(model, "", _STAGES_DEEP)
        if not any(within(module, (unit,)) for module in classifier)
    ]
    inside = {key: within(key, tuple(classifier)) for key in model.state_dict()}
    groups = _groups([key for key, of_it in inside.items() if not of_it], units)
    if len(groups) < 2:
        raise BackboneError(
            f"backbone.model {name}: it declares no order of layers (timm group_matcher), and its "
            "modules give none, so depths have no meaning for it; choose another model"
        )
    declared = _declared(model)
    places = [
        next(
            (n for n, group in enumerate(groups) if any(within(key, (stage,)) for key in group)), -1
        )
        for stage in declared
    ]
    if any(later < earlier for earlier, later in pairwise(places)):
        raise BackboneError(
            f"backbone.model {name}: its modules come in another order than its stages "
            f"({', '.join(declared)}), so depths have no meaning for it; choose another model"
        )
    head = [key for key, of_it in inside.items() if of_it]
    return [*groups, head], "feature_info" if declared else "modules"


def _units(module: nn.Module, prefix: str, depth: int) -> Iterator[str]:
    """Yield the names of the modules that are a layer each, in order."""
    for child_name, child in module.named_children():
        name = f"{prefix}{child_name}"
        if not child.state_dict() or not list(child.children()):
            continue  # a single norm or convolution goes with its neighbours
        if isinstance(child, _CONTAINERS):
            inner = list(_units(child, f"{name}.", depth))
            yield from inner or [name]
        elif depth > 1 and _has_blocks(child):
            yield from _units_of_stage(child, name, depth)
        else:
            yield name


def _units_of_stage(stage: nn.Module, name: str, depth: int) -> Iterator[str]:
    """Yield the blocks of a stage; all else in it goes with them."""
    for child_name, child in stage.named_children():
        if isinstance(child, _CONTAINERS) and _is_of_blocks(child):
            yield from _units(child, f"{name}.{child_name}.", depth - 1)


def _has_blocks(module: nn.Module) -> bool:
    return any(
        isinstance(child, _CONTAINERS) and _is_of_blocks(child) for child in module.children()
    )


def _is_of_blocks(container: nn.Module) -> bool:
    return any(list(child.children()) and child.state_dict() for child in container.children())


def _groups(keys: Sequence[str], units: Sequence[str]) -> list[list[str]]:
    """Group the keys by the unit they lie in; others go to the next unit, at the end to the last.

    What comes after the last unit of a stage belongs to that stage. Convolutions and norms before
    the first unit, where there is more than a tensor, are a layer of their own.
    """
    groups: list[list[str]] = []
    waiting: list[str] = []
    current: str | None = None
    for key in keys:
        unit = next((unit for unit in units if within(key, (unit,))), None)
        if unit is None:
            waiting.append(key)
            continue
        if unit != current:
            before, after = _split(waiting, current, unit)
            if groups:
                groups[-1] += before
            elif any("." in each for each in before):
                groups.append(before)
            else:
                after = before + after
            groups.append(after)
            waiting, current = [], unit
        groups[-1] += [*waiting, key]
        waiting = []
    if groups:
        groups[-1] += waiting
    return groups


def _split(waiting: list[str], last: str | None, following: str) -> tuple[list[str], list[str]]:
    """Share what lies between two units: with the one that shares more of its modules' names."""
    if last is None:
        near = [key for key in waiting if _shared(key, following) > 0]
        return [key for key in waiting if key not in near], near
    after = [key for key in waiting if _shared(key, following) >= _shared(key, last)]
    return [key for key in waiting if key not in after], after


def _shared(key: str, other: str) -> int:
    pairs = zip(key.split("."), other.split("."), strict=False)
    return next((n for n, (one, two) in enumerate(pairs) if one != two), len(other.split(".")))


def _declared(model: nn.Module) -> list[str]:
    """Return the names of the stages that timm's `feature_info` lists."""
    info = getattr(model, "feature_info", None) or []
    named = [each.get("module", "") for each in info if isinstance(each, dict)]
    return [name for name in named if name]
