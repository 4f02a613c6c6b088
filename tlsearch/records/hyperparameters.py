"""One way to fine-tune, and the ranges its values lie in.

`Hyperparameters` is the only thing that the two halves of the project share: the search half makes
one, the fine-tuning half takes one, and neither knows anything else about the other.

Each trial has them in two forms. The *raw* ones are what the sampler drew: they are the trial's
parameters in Optuna, TPE models them, and the training and the identity of its checkpoints use
them. The *canonical* ones (`Hyperparameters.canonical`) are equal for all raw ones that train the
same model: two trials are duplicates if their canonical ones are equal. They are stored beside the
trial, as the attribute `canonical`, and never replace the raw ones: a sampler that saw values it
did not draw would learn a wrong distribution.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Range:
    """A closed range of numbers; `low == high` means fixed."""

    low: float
    high: float

    @property
    def fixed(self) -> bool:
        """Whether the range holds a single value."""
        return self.low == self.high

    def nearest(self, value: float) -> float:
        """Return the value of the range that is nearest to `value`."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """One way to fine-tune; layers count from the input, the classifier is the last.

    Source: Plested, Shen, Gedeon, "Rethinking binary hyperparameters for deep transfer learning
    for image classification", sections 4.3 (reinit_layers), 4.4 (rates), 4.5 (alpha, beta).

    Attributes:
        reinit_layers: top layers that start from random weights; 1 = the classifier only; 0 = none:
            the classifier starts as the linear probe on fixed features, and batch-norm layers keep
            the pretrained statistics.
        high_lr: peak learning rate of the layers above the low ones and of reinitialised layers.
        low_lr_ratio: the low learning rate as a share of `high_lr`, in (0, 1].
        low_layers: layers at the low rate, from the input; 0 = one rate for all.
        alpha: strength of L2-SP, the decay toward the pretrained weights.
        beta: strength of L2, the decay toward zero.
        l2sp_layers: lowest layers with L2-SP instead of L2; 0 = plain L2.
    """

    reinit_layers: int
    high_lr: float
    low_lr_ratio: float
    low_layers: int
    alpha: float
    beta: float
    l2sp_layers: int

    @property
    def low_lr(self) -> float:
        """Peak learning rate of the low layers."""
        return self.high_lr * self.low_lr_ratio

    def canonical(self, n_body_layers: int) -> "Hyperparameters":
        """Return the simplest hyperparameters that train the same model.

        A reinitialised layer always has the high rate and never L2-SP, so the other two depths
        end below it. A hyperparameter without effect gets its neutral value (ratio 1, depth 0,
        alpha 0).

        Args:
            n_body_layers: layers of the backbone without the classifier.
        """
        kept = n_body_layers + 1 - self.reinit_layers
        low_layers = min(self.low_layers, kept) if self.low_lr_ratio != 1 else 0
        l2sp_layers = min(self.l2sp_layers, kept)
        return replace(
            self,
            low_layers=low_layers,
            low_lr_ratio=self.low_lr_ratio if low_layers else 1.0,
            l2sp_layers=l2sp_layers,
            alpha=self.alpha if l2sp_layers else 0.0,
        )

    def as_dict(self) -> dict[str, int | float]:
        """Return the seven values by name, in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Hyperparameters":
        """Build from a mapping that has at least the seven names."""
        return cls(
            reinit_layers=int(values["reinit_layers"]),
            high_lr=float(values["high_lr"]),
            low_lr_ratio=float(values["low_lr_ratio"]),
            low_layers=int(values["low_layers"]),
            alpha=float(values["alpha"]),
            beta=float(values["beta"]),
            l2sp_layers=int(values["l2sp_layers"]),
        )


HYPERPARAMETER_NAMES = tuple(field.name for field in fields(Hyperparameters))

DEPTHS = frozenset({"reinit_layers", "low_layers", "l2sp_layers"})  # the ones that count layers
