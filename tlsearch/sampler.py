"""Builds the sampler and the pruner that a spec names.

What a sampler draws for trial n depends on the seed, on n and on the trials in the database, and
on nothing in a worker's memory: any worker, after any restart, draws the same.
"""

import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, PercentilePruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tlsearch.spec import PrunerSpec, SamplerSpec


def build_sampler(spec: SamplerSpec) -> BaseSampler:
    """Return the sampler of a spec."""
    return SeededPerTrialSampler(spec)


def build_pruner(spec: PrunerSpec, epochs: int) -> BasePruner:
    """Return the pruner of a spec for trials of so many epochs."""
    if spec.name == "none":
        return NopPruner()
    warmup = {
        "n_startup_trials": spec.startup_trials,
        "n_warmup_steps": math.ceil(spec.warmup_fraction * epochs),
    }
    if spec.name == "median":
        return MedianPruner(**warmup)
    return PercentilePruner(100 - spec.percentile, **warmup)


class SeededPerTrialSampler(BaseSampler):
    """Draws each trial with a sampler seeded by (study seed, trial number).

    Optuna's samplers keep a generator in memory: two workers with one seed would draw the same
    trials, and a restarted worker would repeat itself.
    """

    def __init__(self, spec: SamplerSpec) -> None:
        self._spec = spec
        self._sampler_of: tuple[int, BaseSampler] | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """See `optuna.samplers.BaseSampler`."""
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See `optuna.samplers.BaseSampler`."""
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """See `optuna.samplers.BaseSampler`."""
        return self._sampler(trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """See `optuna.samplers.BaseSampler`."""
        self._sampler(trial).after_trial(study, trial, state, values)

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        if self._sampler_of is None or self._sampler_of[0] != trial.number:
            seed = (self._spec.seed * 1_000_003 + trial.number) % 2**31
            self._sampler_of = (trial.number, _optuna_sampler(self._spec, seed))
        return self._sampler_of[1]


def _optuna_sampler(spec: SamplerSpec, seed: int) -> BaseSampler:
    if spec.name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(
        seed=seed, n_startup_trials=spec.startup_trials, multivariate=True, group=False
    )
