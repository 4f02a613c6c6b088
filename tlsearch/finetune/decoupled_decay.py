"""L2-SP and L2 beside AdamW: the weights are moved, not the gradients.

Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 2: a decay
that goes through the gradients would be divided by Adam's estimate of their size. The same holds
for L2-SP (Li, Grandvalet, Davoine 2018), whose decay is toward the pretrained value w0. With f the
schedule's factor and r the peak rate of a parameter's group, each step is

    w <- w - f r alpha (w - w0)          under L2-SP
    w <- w - f r beta w                  under L2
    w <- w - f r m / (sqrt(v) + eps)     then, for all; m and v are Adam's, corrected for their bias

So `beta` is the weight decay of torch's AdamW; the paper's lambda is r beta.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tlsearch.finetune.param_groups import ParameterGroup


class DecoupledDecay:
    """Moves the weights toward their targets at the current rates.

    Create it before the first step: the values of the parameters at that time are w0.

    Args:
        groups: of the model's parameters.
        alpha: strength of L2-SP.
        beta: strength of L2.
        optimizer: has the same groups in the same order, each with its current rate.
    """

    def __init__(
        self,
        groups: Sequence[ParameterGroup],
        alpha: float,
        beta: float,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._alpha = alpha
        self._beta = beta
        self._groups = list(zip(groups, optimizer.param_groups, strict=True))
        self._start: dict[Tensor, Tensor] = {
            parameter: parameter.detach().clone()
            for group in groups
            if group.decay == "l2_sp"
            for parameter in group.parameters
        }

    @torch.no_grad()
    def before_step(self) -> None:
        """Move the weights; skips parameters without a gradient, as the optimiser does."""
        for group, options in self._groups:
            moving: list[Tensor] = [p for p in group.parameters if p.grad is not None]
            rate: float = options["lr"]
            if not moving:
                continue
            if group.decay == "l2" and self._beta:
                torch._foreach_mul_(moving, 1 - rate * self._beta)
            if group.decay == "l2_sp" and self._alpha:
                away = torch._foreach_sub(moving, [self._start[p] for p in moving])
                torch._foreach_add_(moving, away, alpha=-rate * self._alpha)
