"""Builds the pruner that a spec names."""

import math
from collections.abc import Callable
from functools import partial

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    NopPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.trial import FrozenTrial

from tlsearch.optuna_ext.percentile_pruner import IncrementalPercentilePruner
from tlsearch.spec import PrunerSpec


def build_pruner(spec: PrunerSpec, epochs: int) -> BasePruner:
    """Return the pruner of a spec for trials of so many epochs.

    None of them prunes in the first `warmup_fraction` of the epochs. Wilcoxon's test compares a
    trial with the best one epoch by epoch; patient prunes a trial that has stopped improving,
    whatever the others do.
    """
    warmup = math.ceil(spec.warmup_fraction * epochs)
    percentile = partial(
        IncrementalPercentilePruner,
        n_startup_trials=spec.startup_trials,
        n_warmup_steps=warmup,
        max_age_seconds=1.0,
    )
    builders: dict[str, Callable[[], BasePruner]] = {
        "none": NopPruner,
        "median": lambda: percentile(50.0),
        "percentile": lambda: percentile(100 - spec.percentile),
        "patient": lambda: _AfterWarmup(PatientPruner(None, spec.patience_epochs), warmup),
        "wilcoxon": lambda: WilcoxonPruner(p_threshold=spec.p_threshold, n_startup_steps=warmup),
        "successive_halving": lambda: SuccessiveHalvingPruner(
            min_resource=max(1, warmup), reduction_factor=spec.reduction_factor
        ),
        "hyperband": lambda: HyperbandPruner(max(1, warmup), epochs, spec.reduction_factor),
    }
    return builders[spec.name]()


class _AfterWarmup(BasePruner):
    """Asks another pruner only after so many steps."""

    def __init__(self, pruner: BasePruner, n_warmup_steps: int) -> None:
        self._pruner = pruner
        self._n_warmup_steps = n_warmup_steps

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """See `optuna.pruners.BasePruner`."""
        step = trial.last_step
        if step is None or step < self._n_warmup_steps:
            return False
        return self._pruner.prune(study, trial)
