"""Which knob paid: what each one brings from the plain default to the winner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlsearch.records.finals_plan import PlannedRun
from tlsearch.records.hyperparameters import Hyperparameters
from tlsearch.records.objective import ACCURACY, Objective

KNOB_RUN = "knob"  # origin of the trials
DEFAULT_RUN, WINNER_RUN = "default", "winner"  # names of what is compared with

# Hyperparameters that do nothing without one another are one knob.
KNOBS = (
    ("reinit_layers",),
    ("high_lr",),
    ("low_lr_ratio", "low_layers"),
    ("alpha", "l2sp_layers"),
    ("beta",),
)


@dataclass(frozen=True, slots=True)
class KnobGain:
    """What a change brings, paired over seeds and validation images.

    Attributes:
        gain: mean difference of scores, of accuracies a fraction.
        error: its standard error.
        low, high: 95 % interval.
        n_seeds: runs of each.
    """

    gain: float
    error: float
    low: float
    high: float
    n_seeds: int


@dataclass(frozen=True, slots=True)
class Knob:
    """A knob whose value differs between the plain default and the winner.

    Attributes:
        names: its hyperparameters.
        default: their values in the plain default.
        winner: their values in the winner.
        added: gain of the default with this knob of the winner over the default; None until two
            runs can be compared.
        taken: loss of the winner with this knob of the default, likewise; positive where the
            winner is better with it.
        fanova: Optuna's importance by fANOVA, a share of the variance over the search; None where
            there are too few trials.
        ped_anova: Optuna's importance by PED-ANOVA, for reaching the best quarter; likewise.
    """

    names: tuple[str, ...]
    default: tuple[float, ...]
    winner: tuple[float, ...]
    added: KnobGain | None
    taken: KnobGain | None
    fanova: float | None = None
    ped_anova: float | None = None

    @property
    def name(self) -> str:
        """The knob's name for people."""
        return " + ".join(self.names)


@dataclass(frozen=True, slots=True)
class RangeEnd:
    """A hyperparameter of which the best trials lie at the end of its range.

    Attributes:
        name: of the hyperparameter.
        end: which end.
        low, high: its range.
        wider: the range to try.
        n_trials: the best trials that lie there, all of those that were looked at.
    """

    name: str
    end: str
    low: float
    high: float
    wider: tuple[float, float]
    n_trials: int


@dataclass(frozen=True, slots=True)
class KnobsTable:
    """Which knob paid.

    Attributes:
        study: name of the search.
        winner: name of the finalist that it leads to.
        knobs: those that differ.
        same: hyperparameters whose value is that of the default: nothing to tell.
        whole: gain of the winner over the default.
        done, planned: runs.
        ends: where the best trials of the search lie at the end of a range.
        taken: runs of these that were taken over from the finalists, which had trained the same.
        objective: what the gains are of.
    """

    study: str
    winner: str
    knobs: tuple[Knob, ...]
    same: tuple[str, ...]
    whole: KnobGain | None
    done: int
    planned: int
    ends: tuple[RangeEnd, ...] = ()
    taken: int = 0
    objective: Objective = ACCURACY

    @property
    def complete(self) -> bool:
        """Whether every planned run ended."""
        return self.done >= self.planned


@dataclass(frozen=True, slots=True)
class KnobsPlan:
    """The runs of a study `NAME/knobs`.

    Attributes:
        winner_name: name of the finalist.
        winner: its hyperparameters.
        default: those of the plain default.
        seeds: of the trainings.
        n_body_layers: layers of the network without the classifier.
    """

    winner_name: str
    winner: Hyperparameters
    default: Hyperparameters
    seeds: tuple[int, ...]
    n_body_layers: int

    @property
    def differing(self) -> list[tuple[str, ...]]:
        """The knobs that differ, leaving out values without effect."""
        ours, plain = (
            each.canonical(self.n_body_layers).as_dict() for each in (self.winner, self.default)
        )
        return [names for names in KNOBS if any(ours[name] != plain[name] for name in names)]

    def runs(self) -> list[PlannedRun]:
        """Return the runs in the order of the queue: seed by seed."""
        variants = {DEFAULT_RUN: self.default, WINNER_RUN: self.winner}
        for names in self.differing:
            variants[added_name(names)] = self._mixed(self.default, self.winner, names)
            variants[taken_name(names)] = self._mixed(self.winner, self.default, names)
        return [
            PlannedRun(name, KNOB_RUN, params, seed)
            for seed in self.seeds
            for name, params in variants.items()
        ]

    @staticmethod
    def _mixed(
        base: Hyperparameters, other: Hyperparameters, names: tuple[str, ...]
    ) -> Hyperparameters:
        values = other.as_dict()
        return Hyperparameters.from_dict(base.as_dict() | {name: values[name] for name in names})

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storing."""
        return {
            "winner_name": self.winner_name,
            "winner": self.winner.as_dict(),
            "default": self.default.as_dict(),
            "seeds": list(self.seeds),
            "n_body_layers": self.n_body_layers,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "KnobsPlan":
        """Read what `as_dict` wrote."""
        winner, default = (Hyperparameters.from_dict(stored[key]) for key in ("winner", "default"))
        seeds, n_body_layers = tuple(stored["seeds"]), stored["n_body_layers"]
        return cls(stored["winner_name"], winner, default, seeds, n_body_layers)


def added_name(names: tuple[str, ...]) -> str:
    """Return the name of the default with a knob of the winner."""
    return f"default with {' + '.join(names)}"


def taken_name(names: tuple[str, ...]) -> str:
    """Return the name of the winner with a knob of the default."""
    return f"winner without {' + '.join(names)}"
