"""L2-SP and L2 as gradient terms.

Li, Grandvalet, Davoine, "Explicit inductive bias for transfer learning with convolutional
networks" (ICML 2018), equation 2: the penalty is alpha/2 |w - w0|^2 on parameters with a
pretrained value w0 and beta/2 |w|^2 on the others. Plested et al., section 4.5, limit the first sum
to the lowest layers. The gradient, alpha (w - w0) or beta w, is added before momentum. So the step
is that of the loss with the penalty, and beta is SGD's weight decay; it needs no autograd and is
computed in fp32 under autocast too.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tlsearch.finetune.param_groups import ParameterGroup


class DecayTerms:
    """Adds the gradients of the penalties to those of the loss.

    Create it before the first step: the values of the parameters at that time are w0.
    """

    def __init__(self, groups: Sequence[ParameterGroup], alpha: float, beta: float) -> None:
        self._alpha = alpha
        self._beta = beta
        self._l2 = _parameters(groups, "l2")
        self._l2_sp = _parameters(groups, "l2_sp")
        self._start = [parameter.detach().clone() for parameter in self._l2_sp]

    @torch.no_grad()
    def before_step(self) -> None:
        """Add alpha (w - w0) or beta w to each gradient; skips parameters without a gradient."""
        with_gradient = [p for p in self._l2 if p.grad is not None]
        if self._beta and with_gradient:
            torch._foreach_add_(_gradients(with_gradient), with_gradient, alpha=self._beta)
        moving = [i for i, p in enumerate(self._l2_sp) if p.grad is not None]
        if self._alpha and moving:
            parameters = [self._l2_sp[i] for i in moving]
            away = torch._foreach_sub(parameters, [self._start[i] for i in moving])
            torch._foreach_add_(_gradients(parameters), away, alpha=self._alpha)


def _parameters(groups: Sequence[ParameterGroup], decay: str) -> list[Tensor]:
    return [p for group in groups if group.decay == decay for p in group.parameters]


def _gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]
