"""TPE that does not slow down as a study grows.

With plain Optuna:

    study = optuna.create_study(storage=..., sampler=ThinnedTPESampler(multivariate=True))
"""

import math
from bisect import insort
from collections.abc import Container
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tlsearch.optuna_ext.accumulators import FinishedSpace, KeepsHistory, accumulated, open_trials

_BEST, _NEWEST, _EVEN = 100, 100, 300


class ThinnedTPESampler(TPESampler):
    """TPE on some of the finished trials, once there are many.

    TPE fits one density to the good trials and one to the others, anew for every trial that it
    draws: at 10,000 trials that takes a quarter of a second. Beyond `thin_above` finished trials
    this one fits them to at most 500: the best 100, the newest 100, and 300 spread evenly over all
    by number. Below that it draws what `TPESampler` draws, digit by digit.

    The density of the good trials is the same as TPE's, which never takes more than 25 as good.
    That of the others is fitted to a sample: coarser where there were many bad trials, with more
    weight on recent trials, on good ones that are not among the best 25, and on its uniform part
    (1 in about 250 rather than 1 in half of all trials). `bench/storage/thinning.py` compares what
    the two find.

    The draws follow from the trials and the seed. Studies with several objectives are not thinned.

    Args:
        thin_above: finished trials from which on some are left out.
        max_age_seconds: how long ago the storage may have been read for a draw, if it keeps a
            history (`tlsearch.optuna_ext.accumulators`).
        options: for `TPESampler`.
    """

    def __init__(
        self, *, thin_above: int = 1000, max_age_seconds: float = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self._thin_above = max(thin_above, _BEST + _NEWEST + _EVEN)
        self._max_age_seconds = max_age_seconds

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """See `optuna.samplers.BaseSampler`."""
        if self._group or not self._is_multivariate(study):
            return super().infer_relative_search_space(self._thinned(study), trial)
        with accumulated(FinishedSpace, study, self._max_age_seconds) as space:
            return space.to_search()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See `optuna.samplers.BaseSampler`."""
        if not search_space:
            return {}
        return super().sample_relative(self._thinned(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """See `optuna.samplers.BaseSampler`."""
        view = self._thinned(study)
        return super().sample_independent(view, trial, param_name, param_distribution)

    def _thinned(self, study: Study) -> Study:
        """Return the view of the study that TPE gets."""
        if study._is_multi_objective():
            return study
        with accumulated(Ranking, study, self._max_age_seconds) as ranking:
            if len(ranking) > max(self._thin_above, self._n_startup_trials):
                finished = ranking.thinned(self._n_startup_trials)
            elif isinstance(study._storage, KeepsHistory):  # which need not be read once more
                finished = ranking.by_number
            else:
                return study
            return cast(Study, _ThinnedStudy(study, finished))


class Ranking:
    """The finished trials of a study by number, and from the best to the worst as TPE has it.

    Attributes:
        by_number: all of them.
    """

    def __init__(self, study: Study) -> None:
        self._sign = -1 if study.direction is StudyDirection.MAXIMIZE else 1
        self.by_number: list[FrozenTrial] = []
        self._ranked: list[tuple[tuple[float, float, float, int], FrozenTrial]] = []

    def __len__(self) -> int:
        return len(self.by_number)

    def add(self, trial: FrozenTrial) -> None:
        """See `tlsearch.optuna_ext.accumulators.Accumulator`."""
        insort(self.by_number, trial, key=_number)
        insort(self._ranked, (self._rank(trial), trial), key=_rank)

    def thinned(self, at_least: int = 0) -> list[FrozenTrial]:
        """Return the best, the newest and an even sample of all, by number."""
        n = len(self.by_number)
        n_even = min(n, max(_EVEN, at_least))
        kept = {trial.number: trial for _, trial in self._ranked[:_BEST]}
        even = (self.by_number[i * n // n_even] for i in range(n_even))
        for trial in (*self.by_number[-_NEWEST:], *even):
            kept[trial.number] = trial
        return [kept[number] for number in sorted(kept)]

    def _rank(self, trial: FrozenTrial) -> tuple[float, float, float, int]:
        """Return what orders trials: complete ones by value, pruned ones by step, infeasible."""
        violation = sum(value for value in trial.constraints.values() if value > 0)
        if violation > 0:
            return 2, violation, 0.0, trial.number
        if trial.state is TrialState.COMPLETE:
            return 0, self._sign * cast(float, trial.value), 0.0, trial.number
        if not trial.intermediate_values:
            return 1, 1, 0.0, trial.number
        step, value = max(trial.intermediate_values.items())
        value = math.inf if math.isnan(value) else self._sign * value
        return 1, -step, value, trial.number


class _ThinnedStudy:
    """A study that shows some of its finished trials, and all that are queued or running."""

    def __init__(self, study: Study, finished: list[FrozenTrial]) -> None:
        self._study = study
        self._trials = sorted(finished + open_trials(study), key=_number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        del deepcopy, use_cache  # TPE does not change trials
        return [trial for trial in self._trials if states is None or trial.state in states]


def _number(trial: FrozenTrial) -> int:
    return trial.number


def _rank(ranked: tuple[tuple[float, float, float, int], FrozenTrial]) -> Any:
    return ranked[0]
