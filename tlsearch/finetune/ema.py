"""The exponential moving average of a model's weights.

Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992): the average of
the last weights has less noise than the last weights. Older ones count less and less, with a time
constant in epochs, as in timm's ModelEma. After t steps the average is

    sum_i d^(t - i) w_i / sum_i d^(t - i),   i = 1 ... t,   d = exp(-1 / steps in the constant),

so the weights before the first step have no part in it, as in Adam's correction of its bias.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Follows the parameters and the floating-point buffers of a model.

    Args:
        model: on its device; its tensors must stay the same objects.
        steps: the time constant, above 0.
    """

    def __init__(self, model: nn.Module, steps: float) -> None:
        self._log_decay = -1 / steps
        self._followed = {
            name: tensor
            for name, tensor in model.state_dict().items()
            if tensor.is_floating_point()
        }
        self._average = {name: tensor.clone() for name, tensor in self._followed.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's weights after its `step`-th step, counted from 1."""
        weight = math.expm1(self._log_decay) / math.expm1(step * self._log_decay)
        torch._foreach_lerp_(self._values(self._average), self._values(self._followed), weight)

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The average by state-dict key; set its tensors in place to resume."""
        return self._average

    @property
    def followed(self) -> list[Tensor]:
        """The tensors of the model that `write` changes."""
        return self._values(self._followed)

    @torch.no_grad()
    def write(self) -> None:
        """Set the model to the average."""
        torch._foreach_copy_(self._values(self._followed), self._values(self._average))

    @staticmethod
    def _values(tensors: Mapping[str, Tensor]) -> list[Tensor]:
        return list(tensors.values())
