"""Which runs a study `NAME/finalists` consists of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tlsearch.records.hyperparameters import Hyperparameters
from tlsearch.records.study import FIXED_FEATURES, QueuedTrial
from tlsearch.records.variation import TrainOn, Variation

RUN_OF = "run_of"  # the trial's user attribute that names what it is one run of
TAKEN_FROM = "taken_from"  # ... that names the run of another study that it is a copy of
DEFAULT, FLOOR_NAME = "default", "fixed features"  # names of the two baselines
CANDIDATE_RUN, RATE_RUN = "finalist", "default_rate"  # origins, beside default and fixed_features

RunKey = tuple[str, str, int, float]  # name, origin, seed, rate: what tells a study's runs apart


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One training that is planned.

    Attributes:
        name: what it is one run of.
        origin: of its trial.
        params: its hyperparameters.
        seed: of its training.
        system_attrs: of its trial.
        train_on: the images that it is trained on.
    """

    name: str
    origin: str
    params: Hyperparameters
    seed: int
    system_attrs: tuple[tuple[str, Any], ...] = ()
    train_on: TrainOn = "train"

    @property
    def key(self) -> RunKey:
        """What tells it from the other runs of its study."""
        return self.name, self.origin, self.seed, self.params.high_lr

    def as_queued(self) -> QueuedTrial:
        """Return the trial for the queue."""
        attrs = {RUN_OF: self.name, **Variation(self.seed, self.train_on).as_attrs()}
        return QueuedTrial(self.params, self.origin, dict(self.system_attrs), attrs)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration of the search that is trained over several seeds.

    Attributes:
        trial: its number in the search.
        params: its hyperparameters.
    """

    trial: int
    params: Hyperparameters

    @property
    def name(self) -> str:
        """Name of the finalist."""
        return f"trial {self.trial}"


@dataclass(frozen=True, slots=True)
class FinalsPlan:
    """The runs of a study of finalists.

    The rate of the plain default is tuned first, by single runs at the search's own seed. Once they
    ended, whichever worker sees it settles the rate, and then all seeds but the first are queued,
    so that an early end leaves every finalist as many runs as the others.

    Attributes:
        candidates: of the search, the best first.
        seeds: of the trainings; none is the search's own.
        search_seed: the search's own.
        default: the plain default, at its plain rate.
        rates: of the default, to be tried in single runs.
        seen: what the search saw of the default: its rate and its score; None where
            it has no complete default.
        floor: the point that stands for fixed features in the space.
        floor_attrs: system attributes of its trial.
        n_complete: complete trials that the search had when they were chosen.
        settled: whether the rate of the default is chosen, or cannot be.
        default_rate: the chosen rate; None before that, and where every run of the default failed.
    """

    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    search_seed: int
    default: Hyperparameters
    rates: tuple[float, ...]
    seen: tuple[float, float] | None
    floor: Hyperparameters
    floor_attrs: tuple[tuple[str, Any], ...] = ()
    n_complete: int = 0
    settled: bool = False
    default_rate: float | None = None

    @property
    def n_planned(self) -> int:
        """Number of all runs; the default counts until it turns out that it cannot be trained."""
        has_default = not self.settled or self.default_rate is not None
        each_seed = len(self.candidates) + int(has_default)
        return 1 + len(self.rates) + each_seed * len(self.seeds)

    def rate_runs(self) -> list[PlannedRun]:
        """Return the single runs of the default."""
        return [
            PlannedRun(DEFAULT, RATE_RUN, replace(self.default, high_lr=rate), self.search_seed)
            for rate in self.rates
        ]

    def runs(self) -> list[PlannedRun]:
        """Return the runs that can be queued by now, in the order of the queue."""
        first = self.seeds[0]
        found = [PlannedRun(FLOOR_NAME, FIXED_FEATURES, self.floor, first, self.floor_attrs)]
        found += self.rate_runs()
        for seed in self.seeds if self.settled else self.seeds[:1]:
            found += [PlannedRun(c.name, CANDIDATE_RUN, c.params, seed) for c in self.candidates]
            if self.default_rate is not None:
                tuned = replace(self.default, high_lr=self.default_rate)
                found.append(PlannedRun(DEFAULT, "default", tuned, seed))
        return found

    def with_default_rate(self, seen: Mapping[float, float]) -> "FinalsPlan":
        """Return the plan with the best of the rates; of equals the one that was tried first.

        Args:
            seen: validation accuracies of the single runs that are complete, by rate.
        """
        known = ({self.seen[0]: self.seen[1]} if self.seen else {}) | dict(seen)
        rate = max(known, key=lambda each: known[each], default=None)
        return replace(self, settled=True, default_rate=rate)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storing."""
        return {
            "candidates": [
                {"trial": each.trial, "params": each.params.as_dict()} for each in self.candidates
            ],
            "seeds": list(self.seeds),
            "search_seed": self.search_seed,
            "default": self.default.as_dict(),
            "rates": list(self.rates),
            "seen": None if self.seen is None else list(self.seen),
            "floor": self.floor.as_dict(),
            "floor_attrs": dict(self.floor_attrs),
            "n_complete": self.n_complete,
            "settled": self.settled,
            "default_rate": self.default_rate,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "FinalsPlan":
        """Read what `as_dict` wrote."""
        seen = stored["seen"]
        return cls(
            candidates=tuple(
                Candidate(each["trial"], Hyperparameters.from_dict(each["params"]))
                for each in stored["candidates"]
            ),
            seeds=tuple(stored["seeds"]),
            search_seed=stored["search_seed"],
            default=Hyperparameters.from_dict(stored["default"]),
            rates=tuple(stored["rates"]),
            seen=None if seen is None else (seen[0], seen[1]),
            floor=Hyperparameters.from_dict(stored["floor"]),
            floor_attrs=tuple(stored["floor_attrs"].items()),
            n_complete=stored["n_complete"],
            settled=stored["settled"],
            default_rate=stored["default_rate"],
        )


def new_seeds(search_seed: int, n: int) -> tuple[int, ...]:
    """Return n seeds that follow the search's own."""
    return tuple((search_seed + k) % 2**31 for k in range(1, n + 1))
