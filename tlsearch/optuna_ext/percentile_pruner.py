"""Optuna's percentile pruner, without going through all trials at every report.

With plain Optuna:

    study = optuna.create_study(storage=..., pruner=IncrementalPercentilePruner(50.0))
"""

import math
from bisect import insort

import numpy as np
from optuna.pruners import PercentilePruner
from optuna.pruners._percentile import (
    _get_best_intermediate_result_over_steps,
    _is_first_in_interval_step,
)
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tlsearch.optuna_ext.accumulators import accumulated


class IncrementalPercentilePruner(PercentilePruner):
    """Decides as `optuna.pruners.PercentilePruner`, report for report.

    What does not depend on other trials (the warm-up, the interval) is checked first, without
    reading the storage. The values that complete trials reported are kept by step and in order, so
    the values beside the percentile are enough to tell on which side of it a trial is.

    Args:
        percentile: see `optuna.pruners.PercentilePruner`; 50 is `MedianPruner`.
        n_startup_trials: likewise.
        n_warmup_steps: likewise.
        interval_steps: likewise.
        n_min_trials: likewise.
        max_age_seconds: how long ago the storage may have been read, if it keeps a history
            (`tlsearch.optuna_ext.accumulators`): a trial that reports in quick succession is
            compared with the trials that were complete by then. With 0 the storage is read at
            every report, as Optuna does.
    """

    def __init__(
        self,
        percentile: float,
        n_startup_trials: int = 5,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        *,
        n_min_trials: int = 1,
        max_age_seconds: float = 0.0,
    ) -> None:
        super().__init__(
            percentile, n_startup_trials, n_warmup_steps, interval_steps, n_min_trials=n_min_trials
        )
        self._max_age_seconds = max_age_seconds

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """See `optuna.pruners.BasePruner`."""
        step = trial.last_step
        if step is None or step < self._n_warmup_steps:
            return False
        reported = trial.intermediate_values.keys()
        if not _is_first_in_interval_step(
            step, reported, self._n_warmup_steps, self._interval_steps
        ):
            return False
        with accumulated(Curves, study, self._max_age_seconds, "get_trials") as curves:
            if curves.n_trials == 0 or curves.n_trials < self._n_startup_trials:
                return False
            return self._is_behind(trial, step, study.direction, curves)

    def _is_behind(
        self, trial: FrozenTrial, step: int, direction: StudyDirection, curves: "Curves"
    ) -> bool:
        best = _get_best_intermediate_result_over_steps(trial, direction)
        if math.isnan(best):
            return True
        if curves.n_values(step) < max(1, self._n_min_trials):
            return False
        if direction is StudyDirection.MAXIMIZE:
            return curves.is_below(best, step, 100 - self._percentile)
        return curves.is_above(best, step, self._percentile)


class Curves:
    """What complete trials reported, by step."""

    def __init__(self, study: Study) -> None:
        del study
        self.n_trials = 0
        self._columns: dict[int, _Column] = {}

    def add(self, trial: FrozenTrial) -> None:
        """See `tlsearch.optuna_ext.accumulators.Accumulator`."""
        if trial.state is not TrialState.COMPLETE:
            return
        self.n_trials += 1
        for step, value in trial.intermediate_values.items():
            self._columns.setdefault(step, _Column()).add(value)

    def n_values(self, step: int) -> int:
        """Return how many trials reported at a step, NaN included."""
        return self._columns[step].n if step in self._columns else 0

    def is_below(self, value: float, step: int, percentile: float) -> bool:
        """Whether a value is below a percentile of what was reported at a step."""
        return self._columns[step].compare(value, percentile) < 0

    def is_above(self, value: float, step: int, percentile: float) -> bool:
        """Whether a value is above a percentile of what was reported at a step."""
        return self._columns[step].compare(value, percentile) > 0


class _Column:
    """What trials reported at one step."""

    def __init__(self) -> None:
        self.n = 0
        self._ordered: list[float] = []  # without NaN

    def add(self, value: float) -> None:
        self.n += 1
        if not math.isnan(value):
            insort(self._ordered, value)

    def compare(self, value: float, percentile: float) -> int:
        """Return -1, 0 or 1 as a value is below, at or above a percentile; 0 where there is none.

        The percentile lies between two neighbouring values. Only a value between those two, or
        beside them in case the place was rounded, is compared with the percentile as Optuna
        computes it, to the last digit.
        """
        ordered = self._ordered
        if not ordered:
            return 0
        place = (len(ordered) - 1) * percentile / 100
        low = ordered[max(0, math.floor(place) - 1)]
        high = ordered[min(len(ordered) - 1, math.ceil(place) + 1)]
        if math.isfinite(low) and math.isfinite(high) and not low <= value <= high:
            return -1 if value < low else 1
        exact = float(np.nanpercentile(np.array(ordered), percentile))
        return int(value > exact) - int(value < exact)
