"""Groups a model's parameters by learning rate and by decay.

Plested et al., sections 4.4 (a low rate for the lowest layers) and 4.5 (L2-SP for the lowest
layers, L2 above). The two depths are independent here; the published code uses one number for
both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from tlsearch.backbones import Layers
from tlsearch.records import Hyperparameters

Rate = Literal["low", "high"]
Decay = Literal["l2", "l2_sp", "none"]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with the same learning rate and decay.

    Attributes:
        rate: which of the two learning rates they have.
        decay: toward zero (`l2`), toward where they started (`l2_sp`), or not at all.
        names: their names in the model.
        parameters: the tensors, in the same order.
    """

    rate: Rate
    decay: Decay
    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]


def group_parameters(
    model: nn.Module, layers: Layers, hyperparameters: Hyperparameters, decay_norm: bool = False
) -> list[ParameterGroup]:
    """Put every trainable parameter into exactly one group.

    A reinitialised layer always has the high rate and never L2-SP, whatever `low_layers` and
    `l2sp_layers` say.

    Args:
        model: the model to train.
        layers: its layers.
        hyperparameters: only the depths are used.
        decay_norm: whether normalisation layers decay too; by default they do not, as in Li et al.
            2018.
    """
    kept = len(layers.layers) - hyperparameters.reinit_layers
    n_low = min(hyperparameters.low_layers, kept)
    n_l2_sp = min(hyperparameters.l2sp_layers, kept)
    without_decay = frozenset() if decay_norm else _norm_parameters(model)
    sorted_names: dict[tuple[Rate, Decay], list[str]] = {}
    parameters = dict(model.named_parameters())
    for name in parameters:
        layer = layers.index_of[name]
        rate: Rate = "low" if layer < n_low else "high"
        decay: Decay = "none" if name in without_decay else "l2_sp" if layer < n_l2_sp else "l2"
        sorted_names.setdefault((rate, decay), []).append(name)
    return [
        ParameterGroup(rate, decay, tuple(names), _pick(parameters, names))
        for (rate, decay), names in sorted_names.items()
    ]


def _pick(parameters: dict[str, nn.Parameter], names: Sequence[str]) -> tuple[nn.Parameter, ...]:
    return tuple(parameters[name] for name in names)


def _norm_parameters(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters of normalisation layers."""
    return frozenset(
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if "norm" in type(module).__name__.lower()
        for name, _ in module.named_parameters(recurse=False)
    )
