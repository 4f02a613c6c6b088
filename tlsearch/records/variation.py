"""How one trial's training differs from its study's recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

TrainOn = Literal["train", "train+val"]

SEED, TRAIN_ON = "seed", "train_on"  # the trial's user attributes that hold them
_MOST_SEED = 2**31  # as the recipe's


@dataclass(frozen=True, slots=True)
class Variation:
    """How one trial's training differs from its study's recipe.

    Attributes:
        seed: of its training; None = the recipe's.
        train_on: the images it is trained on. With `train+val` the validation images are trained
            on too, and still what is evaluated: its validation accuracy says nothing then.
    """

    seed: int | None = None
    train_on: TrainOn = "train"

    def as_attrs(self) -> dict[str, Any]:
        """Return a trial's user attributes that say so."""
        seed = {} if self.seed is None else {SEED: self.seed}
        return seed | ({} if self.train_on == "train" else {TRAIN_ON: self.train_on})

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> "Variation":
        """Read the user attributes of a trial; most have none of it.

        Raises:
            ValueError: they hold what no trial can be trained with; the message is a sentence.
        """
        seed, train_on = attrs.get(SEED), attrs.get(TRAIN_ON, "train")
        if seed is not None and not _is_seed(seed):
            raise ValueError(f"its attribute seed = {seed!r} must be a whole number below 2^31")
        if train_on not in get_args(TrainOn):
            raise ValueError(f"its attribute train_on = {train_on!r} must be train or train+val")
        return cls(seed, cast(TrainOn, train_on))


AS_RECIPE = Variation()  # in nothing


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_SEED
