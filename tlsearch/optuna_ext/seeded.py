"""Makes Optuna's samplers draw the same for trial n, whichever worker asks."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class SeededPerTrialSampler(BaseSampler):
    """Draws each trial with a sampler seeded by (study seed, trial number).

    Optuna's samplers keep a generator in memory: two workers with one seed would draw the same
    trials, and a restarted worker would repeat itself.

    Args:
        build: makes the sampler from a seed.
        seed: of the study.
        same: whether every trial gets the study's own seed: for samplers that walk along one
            sequence, and count in the storage how far they are.
    """

    def __init__(self, build: Callable[[int], BaseSampler], seed: int, same: bool = False) -> None:
        self._build = build
        self._seed = seed
        self._same = same
        self._sampler_of: tuple[int, BaseSampler] | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """See `optuna.samplers.BaseSampler`."""
        self._sampler(trial).before_trial(study, trial)

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
        # A grid that is used up asks to stop, which Optuna allows in its own loop alone, and it
        # does not know queued trials (KeyError); here the budget ends a study.
        with suppress(RuntimeError, KeyError):
            self._sampler(trial).after_trial(study, trial, state, values)

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        if self._sampler_of is None or self._sampler_of[0] != trial.number:
            of_trial = (self._seed * 1_000_003 + trial.number) % 2**31
            seed = self._seed if self._same else of_trial
            self._sampler_of = (trial.number, self._build(seed))
        return self._sampler_of[1]
