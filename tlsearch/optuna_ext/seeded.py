"""Makes Optuna's samplers draw the same for trial n, in whatever process it is drawn."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class SeededPerTrialSampler(BaseSampler):
    """Draws each trial with a sampler seeded by (study seed, trial number).

    Optuna's samplers keep a generator in memory: two processes with one seed would draw the same
    trials, and a restarted process would repeat itself. What a sampler of Optuna's knows of other
    trials it reads from the storage, so a new one for each trial loses nothing.

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
        self._samplers: dict[int, BaseSampler] = {}  # by trial id, the oldest first
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {"build": self._build, "seed": self._seed, "same": self._same}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew in another process."""
        SeededPerTrialSampler.__init__(self, **state)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin the trial anew; in a process that runs it again it gets the same draws."""
        self._forget(trial)
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
        # does not know queued trials (KeyError). Neither is an error of this trial.
        with suppress(RuntimeError, KeyError):
            self._sampler(trial).after_trial(study, trial, state, values)
        self._forget(trial)

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        """Return the trial's own sampler, made at its first draw.

        A second one would draw the first one's values again, so each is kept until its trial ends.
        Trials that never end in this process are forgotten in time.
        """
        with self._lock:
            if trial._trial_id not in self._samplers:
                if len(self._samplers) >= _MOST_KEPT:
                    del self._samplers[next(iter(self._samplers))]
                self._samplers[trial._trial_id] = self._build(self._seed_of(trial))
            return self._samplers[trial._trial_id]

    def _seed_of(self, trial: FrozenTrial) -> int:
        return self._seed if self._same else (self._seed * 1_000_003 + trial.number) % 2**31

    def _forget(self, trial: FrozenTrial) -> None:
        with self._lock:
            self._samplers.pop(trial._trial_id, None)


_MOST_KEPT = 256
