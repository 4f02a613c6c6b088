"""The optimiser of a training, and the decay that fits it: a peak rate for each parameter group."""

from collections.abc import Sequence
from typing import Any

import torch

from tlsearch.finetune.decoupled_decay import DecoupledDecay
from tlsearch.finetune.l2_sp import DecayTerms
from tlsearch.finetune.param_groups import ParameterGroup
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec

Decay = DecayTerms | DecoupledDecay

_FUSED = frozenset({"cpu", "cuda"})  # where SGD is one pass over all parameters
_BETAS, _EPS = (0.9, 0.999), 1e-8  # of Adam; torch's defaults, and the papers'


def build_optimizer(
    groups: Sequence[ParameterGroup], recipe: RecipeSpec, hyperparameters: Hyperparameters
) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, or AdamW; at a rate of 0.

    SGD has L2 in it, as its weight decay: beta w is added to the gradients under `l2`.

    Args:
        groups: of the model's parameters.
        recipe: for the kind and the momentum.
        hyperparameters: for beta, and the peak rate of each group, kept as its `peak_lr`.
    """
    peak = {"low": hyperparameters.low_lr, "high": hyperparameters.high_lr}
    options: list[dict[str, Any]] = [
        {"params": list(group.parameters), "lr": 0.0, "peak_lr": peak[group.rate]}
        for group in groups
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(options, betas=_BETAS, eps=_EPS, weight_decay=0.0, foreach=True)
    for option, group in zip(options, groups, strict=True):
        option["weight_decay"] = hyperparameters.beta if group.decay == "l2" else 0.0
    fused = {p.device.type for group in groups for p in group.parameters} <= _FUSED
    return torch.optim.SGD(
        options,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=fused,
        foreach=not fused,
    )


def build_decay(
    groups: Sequence[ParameterGroup],
    recipe: RecipeSpec,
    hyperparameters: Hyperparameters,
    optimizer: torch.optim.Optimizer,
) -> Decay:
    """Return the decay that the optimiser has not: L2-SP through the gradients for SGD, which
    has L2 itself; both beside the gradients for AdamW.

    Create it before the first step.
    """
    alpha, beta = hyperparameters.alpha, hyperparameters.beta
    if recipe.optimizer == "adamw":
        return DecoupledDecay(groups, alpha, beta, optimizer)
    return DecayTerms(groups, alpha, beta=0.0)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's rate to `factor` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
