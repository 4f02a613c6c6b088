"""The prior of a study: where its search should start."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tlsearch.records.hyperparameters import DEPTHS, Hyperparameters


@dataclass(frozen=True, slots=True)
class Belief:
    """The prior of one hyperparameter: a normal distribution cut off at the study's range.

    Attributes:
        mode: the most likely value, in the hyperparameter's own units.
        spread: standard deviation, in layers, or in decades for rates and strengths.
        opposite: the mode for the other column of the paper's Table 7.
        rule: the rule of the paper behind it, or a note that the user set it.
        moved_by: the measure that decided between the columns.
    """

    mode: float
    spread: float
    opposite: float
    rule: str
    moved_by: str


@dataclass(frozen=True)
class Prior:
    """A belief for each hyperparameter.

    Attributes:
        unfit: weight of the column "the pretrained weights do not fit", in [0, 1].
        disagreement: distance between it and the weight from the Fisher score, in [0, 1]; it widens
            the spreads.
        lr_scale: the highest useful learning rate, the one of the column "do not fit".
        lr_scale_from: where that comes from, in words.
        beliefs: by hyperparameter name.
    """

    unfit: float
    disagreement: float
    lr_scale: float
    lr_scale_from: str
    beliefs: Mapping[str, Belief]

    @property
    def mode(self) -> Hyperparameters:
        """The most likely hyperparameters."""
        return _whole({name: belief.mode for name, belief in self.beliefs.items()})

    @property
    def opposite(self) -> Hyperparameters:
        """The mode of the other column, in case the measures point the wrong way."""
        return _whole({name: belief.opposite for name, belief in self.beliefs.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storing."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Prior":
        """Read what `as_dict` wrote."""
        beliefs = {name: Belief(**belief) for name, belief in stored["beliefs"].items()}
        return cls(**{**stored, "beliefs": beliefs})


def _whole(values: Mapping[str, float]) -> Hyperparameters:
    return Hyperparameters.from_dict(
        {name: round(v) if name in DEPTHS else v for name, v in values.items()}
    )
