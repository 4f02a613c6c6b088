"""The search space of a study: the same seven hyperparameters in every trial, without conditions.

Multivariate TPE needs one space. Where a hyperparameter has no effect, the trial's canonical form
says so (`Hyperparameters.canonical`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import FloatDistribution, IntDistribution

from tlsearch.errors import SpecError
from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES, Hyperparameters, Range
from tlsearch.spec import Optimizer, SpaceSpec

# Plain fine-tuning as most people do it: a new classifier, one rate, a little weight decay.
_PLAIN_SGD = Hyperparameters(
    reinit_layers=1,
    high_lr=0.01,
    low_lr_ratio=1.0,
    low_layers=0,
    alpha=0.0,
    beta=1e-4,
    l2sp_layers=0,
)
# The same with AdamW: its decay, which is decoupled, is torch's default.
_PLAIN: Mapping[Optimizer, Hyperparameters] = {
    "sgd": _PLAIN_SGD,
    "adamw": replace(_PLAIN_SGD, high_lr=3e-4, beta=1e-2),
}


@dataclass(frozen=True)
class SearchSpace:
    """A range for each hyperparameter, and the depth of the network.

    Attributes:
        n_body_layers: layers of the backbone without the classifier.
        ranges: by hyperparameter name.
        optimizer: whose rates and strengths they are.
    """

    n_body_layers: int
    ranges: Mapping[str, Range]
    optimizer: Optimizer = "sgd"

    def distributions(self) -> dict[str, FloatDistribution | IntDistribution]:
        """Return Optuna's distributions; rates and strengths are logarithmic."""
        return {name: _distribution(name, self.ranges[name]) for name in HYPERPARAMETER_NAMES}

    def suggest(self, trial: optuna.Trial) -> Hyperparameters:
        """Draw all seven from a trial; a trial that has them already keeps them."""
        values = {name: _suggest(trial, name, d) for name, d in self.distributions().items()}
        return Hyperparameters.from_dict(values)

    def plain_default(self) -> Hyperparameters:
        """Return plain fine-tuning, or the nearest values inside the ranges."""
        plain = _PLAIN[self.optimizer].as_dict()
        return Hyperparameters.from_dict(
            {name: self.ranges[name].nearest(value) for name, value in plain.items()}
        )

    def nearest_to_fixed_features(self) -> Hyperparameters:
        """Return the point where training changes the pretrained layers least.

        Only the classifier is new, the rates are as low as can be, and as many layers as can be
        are at the low rate and pulled toward the pretrained weights.
        """
        ends = {name: (found.low, found.high) for name, found in self.ranges.items()}
        high = {"low_layers", "alpha", "l2sp_layers"}
        return Hyperparameters.from_dict({name: e[name in high] for name, e in ends.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storing."""
        ranges = {name: [r.low, r.high] for name, r in self.ranges.items()}
        return {
            "n_body_layers": self.n_body_layers,
            "ranges": ranges,
            "optimizer": self.optimizer,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "SearchSpace":
        """Read what `as_dict` wrote."""
        ranges = {name: Range(low, high) for name, (low, high) in stored["ranges"].items()}
        return cls(stored["n_body_layers"], ranges, stored.get("optimizer", "sgd"))


def resolve(
    spec: SpaceSpec, n_body_layers: int, takes_head: bool = False, optimizer: Optimizer = "sgd"
) -> SearchSpace:
    """Fill in the ranges that the spec leaves out, and check the others against the network.

    The depths cover the network (reinitialisation its top quarter, or nothing). The rates and
    strengths are those of the paper (learning rates .001-.025, alpha .0001-.1, beta .001-.01),
    widened. AdamW takes lower rates and stronger decay, since its step does not depend on the size
    of the gradients: rates from those of fine-tuned transformers (.00002) to those of training
    from random weights (.001), widened, and strengths a decade higher.

    Args:
        spec: the `[space]` table.
        n_body_layers: layers of the backbone without the classifier.
        takes_head: whether its classifier can start as a linear probe (`reinit_layers` 0).
        optimizer: of the recipe.

    Raises:
        SpecError: a range that the network or the method does not allow.
    """
    least = 0 if takes_head else 1  # reinitialised layers
    limits, defaults = _limits(n_body_layers, least), _defaults(n_body_layers, least, optimizer)
    given = {name: getattr(spec, name) for name in HYPERPARAMETER_NAMES}
    problems = [
        problem
        for name, value in given.items()
        if value is not None
        for problem in _problems(name, value, limits[name], n_body_layers)
    ]
    if problems:
        raise SpecError(problems)
    ranges = {name: given[name] or defaults[name] for name in HYPERPARAMETER_NAMES}
    return SearchSpace(n_body_layers, ranges, optimizer)


def widest_ranges(space: SearchSpace) -> dict[str, Range]:
    """Return the widest ranges that a study's network and the method allow.

    No range of a study that reinitialises the classifier at least may begin at no layer: whether
    its network takes a linear probe is not known here.
    """
    least = min(1, int(space.ranges["reinit_layers"].low))
    return _limits(space.n_body_layers, least)


def _limits(n_body_layers: int, least: int) -> dict[str, Range]:
    """Return the widest ranges that the network and the method allow."""
    return {
        "reinit_layers": Range(least, n_body_layers + 1),
        "high_lr": Range(1e-8, 10.0),
        "low_lr_ratio": Range(1e-6, 1.0),
        "low_layers": Range(0, n_body_layers),
        "alpha": Range(0.0, 10.0),
        "beta": Range(0.0, 10.0),
        "l2sp_layers": Range(0, n_body_layers),
    }


def _defaults(n_body_layers: int, least: int, optimizer: Optimizer) -> dict[str, Range]:
    """Return the ranges of a spec that gives none."""
    adamw = {"high_lr": Range(1e-5, 3e-3), "alpha": Range(1e-3, 1.0), "beta": Range(1e-4, 1e-1)}
    sgd = {
        "reinit_layers": Range(least, max(2, round(n_body_layers / 4))),
        "high_lr": Range(1e-3, 1e-1),
        "low_lr_ratio": Range(0.03, 1.0),
        "low_layers": Range(0, n_body_layers),
        "alpha": Range(1e-4, 1e-1),
        "beta": Range(1e-5, 1e-2),
        "l2sp_layers": Range(0, n_body_layers),
    }
    return sgd | adamw if optimizer == "adamw" else sgd


def _problems(name: str, given: Range, limit: Range, n_body_layers: int) -> list[str]:
    key = f"space.{name}"
    if name in DEPTHS and (given.low != int(given.low) or given.high != int(given.high)):
        return [f"{key}: {_formatted(given)} counts layers; give whole numbers"]
    if given.low < limit.low or given.high > limit.high:
        why = f"; the network has {n_body_layers} body layers" if name in DEPTHS else ""
        return [f"{key}: {_formatted(given)} must lie within {_formatted(limit)}{why}"]
    if name not in DEPTHS and given.low == 0 and not given.fixed:
        return [
            f"{key}: {_formatted(given)} is searched on a logarithmic scale; "
            "begin it above 0, or fix it to 0"
        ]
    return []


def _formatted(value: Range) -> str:
    return f"{value.low:g}" if value.fixed else f"[{value.low:g}, {value.high:g}]"


def _distribution(name: str, given: Range) -> FloatDistribution | IntDistribution:
    if name in DEPTHS:
        return IntDistribution(int(given.low), int(given.high))
    return FloatDistribution(given.low, given.high, log=given.low > 0)


def _suggest(trial: optuna.Trial, name: str, found: FloatDistribution | IntDistribution) -> float:
    if isinstance(found, IntDistribution):
        return trial.suggest_int(name, found.low, found.high)
    return trial.suggest_float(name, found.low, found.high, log=found.log)
