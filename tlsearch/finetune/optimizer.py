"""The optimiser of a training: a peak rate for each group of parameters."""

from collections.abc import Sequence

import torch

from tlsearch.finetune.param_groups import ParameterGroup
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec


def build_optimizer(
    groups: Sequence[ParameterGroup], recipe: RecipeSpec, hyperparameters: Hyperparameters
) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, without weight decay, at a rate of 0.

    Args:
        groups: of the model's parameters.
        recipe: for the momentum.
        hyperparameters: for the peak rate of each group, kept as its `peak_lr`.
    """
    peak = {"low": hyperparameters.low_lr, "high": hyperparameters.high_lr}
    return torch.optim.SGD(
        [
            {"params": list(group.parameters), "lr": 0.0, "peak_lr": peak[group.rate]}
            for group in groups
        ],
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=0.0,
        foreach=True,
    )


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's rate to `factor` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
