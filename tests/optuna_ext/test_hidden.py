"""Samplers and pruners do not see a trial that is marked as hidden."""

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.pruners import MedianPruner, PercentilePruner, SuccessiveHalvingPruner, WilcoxonPruner
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from tlsearch.optuna_ext import (
    BatchedStorage,
    EarnedPriorSampler,
    IncrementalPercentilePruner,
    NormalPrior,
    ThinnedTPESampler,
)
from tlsearch.optuna_ext.history import HIDDEN
from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.store.connect import open_storage

SAMPLERS = {
    "tpe": lambda: TPESampler(seed=1, n_startup_trials=3, multivariate=True),
    "thinned": lambda: ThinnedTPESampler(seed=1, n_startup_trials=3, multivariate=True),
    "earned": lambda: EarnedPriorSampler({"x": NormalPrior(0.3, 0.1)}, n_startup_trials=3),
}
PRUNERS = {
    "median": lambda: MedianPruner(n_startup_trials=1),
    "percentile": lambda: PercentilePruner(50.0, n_startup_trials=1),
    "incremental": lambda: IncrementalPercentilePruner(50.0, n_startup_trials=1),
    "halving": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "wilcoxon": lambda: WilcoxonPruner(n_startup_steps=1),
}
# It has another parameter than the others, so no search space would be left with it.
ODD = create_trial(
    state=TrialState.COMPLETE,
    value=9.0,
    params={"z": 0.0},
    distributions={"z": FloatDistribution(0, 1)},
    intermediate_values=dict.fromkeys(range(4), 9.0),
    system_attrs={HIDDEN: True},
)


def objective(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    for step in range(4):
        trial.report(x - (y - 0.5) ** 2 + step * 0.01, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x - (y - 0.5) ** 2


def searched(url: str, name: str, *, with_odd: bool, sampler, pruner) -> list[Any]:
    """Run a study whose first trial is either hidden or failed, and return what it drew."""
    storage = BatchedStorage(open_storage(url))
    with without_notices():
        study = optuna.create_study(
            storage=storage, study_name=name, sampler=sampler, pruner=pruner, direction="maximize"
        )
    study.add_trial(ODD if with_odd else create_trial(state=TrialState.FAIL))
    study.optimize(objective, n_trials=9)
    found = study.get_trials(deepcopy=False)
    return [(t.number, t.params, t.state, t.intermediate_values) for t in found if t.number]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_draws_as_without_it(storage_url, name):
    drawn = [
        searched(
            storage_url,
            f"{name} {with_odd}",
            with_odd=with_odd,
            sampler=SAMPLERS[name](),
            pruner=optuna.pruners.NopPruner(),
        )
        for with_odd in (True, False)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("name", PRUNERS)
def test_a_pruner_decides_as_without_it(storage_url, name):
    decided = [
        searched(
            storage_url,
            f"{name} {with_odd}",
            with_odd=with_odd,
            sampler=TPESampler(seed=1, multivariate=True),
            pruner=PRUNERS[name](),
        )
        for with_odd in (True, False)
    ]
    assert decided[0] == decided[1]
    assert any(state is TrialState.PRUNED for _, _, state, _ in decided[0])


def test_the_history_and_other_programs_have_it(storage_url):
    storage = BatchedStorage(open_storage(storage_url))
    with without_notices():
        study = optuna.create_study(storage=storage, study_name="a", direction="maximize")
    study.add_trial(ODD)
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=0.5))
    assert [trial.number for trial in study.trials] == [1]
    assert study.best_trial.number == 1
    history = storage.history(study._study_id)
    assert [trial.number for trial in history.finished()] == [0, 1]
    assert [trial.number for trial in history.shown()] == [1]
    assert [t.number for t in open_storage(storage_url).get_all_trials(study._study_id)] == [0, 1]
