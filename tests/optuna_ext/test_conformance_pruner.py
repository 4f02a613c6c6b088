"""What Optuna promises of a percentile pruner, on Optuna's and on ours.

Optuna 5.0 has no suite for pruners in `optuna.testing`. That ours decides as Optuna's does, report
for report, on studies of any kind, is in test_percentile_pruner.py.
"""

import math
from collections.abc import Callable

import optuna
import pytest
from optuna.pruners import BasePruner, PercentilePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from tlsearch.optuna_ext import IncrementalPercentilePruner

Build = Callable[..., BasePruner]


@pytest.fixture(params=[PercentilePruner, IncrementalPercentilePruner])
def build(request: pytest.FixtureRequest) -> Build:
    """The pruner's class, with no trials to start with unless a test says so."""
    return lambda *args, **options: request.param(*args, **{"n_startup_trials": 0} | options)


def study_of(*curves: list[float], direction: str = "minimize") -> optuna.Study:
    """A study of complete trials that reported these values at steps 0, 1, ..."""
    study = optuna.create_study(direction=StudyDirection[direction.upper()])
    for curve in curves:
        study.add_trial(create_trial(value=0.0, intermediate_values=dict(enumerate(curve))))
    return study


def running(*curve: float, first_step: int = 0) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING, intermediate_values=dict(enumerate(curve, first_step))
    )


@pytest.mark.parametrize("value", [-math.inf, 0.0, math.inf, math.nan])
def test_the_first_trial_is_never_pruned(build: Build, value: float) -> None:
    assert not build(25.0).prune(study_of(), running(value))


def test_a_trial_without_reports_is_not_pruned(build: Build) -> None:
    assert not build(25.0).prune(study_of([1.0], [2.0]), running())


@pytest.mark.parametrize(
    ("direction", "kept", "pruned"), [("minimize", 1.9, 2.1), ("maximize", 4.1, 3.9)]
)
def test_a_quarter_is_kept(build: Build, direction: str, kept: float, pruned: float) -> None:
    study = study_of([1.0], [2.0], [3.0], [4.0], [5.0], direction=direction)
    assert not build(25.0).prune(study, running(kept))
    assert build(25.0).prune(study, running(pruned))


def test_the_best_report_of_a_trial_counts(build: Build) -> None:
    study = study_of([1.0, 1.0], [3.0, 3.0], [5.0, 5.0])
    assert not build(50.0).prune(study, running(0.5, 9.0))
    assert build(50.0).prune(study, running(4.0, 9.0))


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_nan_is_pruned_and_never_the_mark(build: Build) -> None:
    study = study_of([1.0], [math.nan])
    assert build(50.0).prune(study, running(math.nan))
    assert not build(50.0).prune(study, running(1.0))
    assert not build(50.0).prune(study_of([math.nan]), running(1.0))


@pytest.mark.parametrize("n_startup_trials", [0, 2, 3])
def test_startup_trials_are_complete_ones(build: Build, n_startup_trials: int) -> None:
    study = study_of([1.0], [1.0])
    for state in (TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING):
        study.add_trial(create_trial(state=state, intermediate_values={0: 1.0}))
    pruner = build(50.0, n_startup_trials=n_startup_trials)
    assert pruner.prune(study, running(9.0)) == (n_startup_trials <= 2)


def test_warmup_and_interval(build: Build) -> None:
    study = study_of([1.0] * 9)
    pruner = build(50.0, n_warmup_steps=2, interval_steps=3)
    pruned = [step for step in range(9) if pruner.prune(study, running(*[9.0] * (step + 1)))]
    assert pruned == [2, 5, 8]


def test_an_interval_without_a_report_is_made_up_for(build: Build) -> None:
    study = study_of([1.0] * 9)
    pruner = build(50.0, interval_steps=3)
    trial = running(9.0)
    trial.intermediate_values[4] = 9.0
    assert pruner.prune(study, trial)


@pytest.mark.parametrize("n_min_trials", [1, 2, 3])
def test_trials_that_reported_the_step(build: Build, n_min_trials: int) -> None:
    study = study_of([1.0, 1.0], [1.0, 1.0], [1.0])
    pruner = build(50.0, n_min_trials=n_min_trials)
    assert pruner.prune(study, running(9.0, 9.0)) == (n_min_trials <= 2)


@pytest.mark.parametrize(
    "options",
    [
        {"percentile": -0.1},
        {"percentile": 100.1},
        {"percentile": 50.0, "n_startup_trials": -1},
        {"percentile": 50.0, "n_warmup_steps": -1},
        {"percentile": 50.0, "interval_steps": 0},
        {"percentile": 50.0, "n_min_trials": 0},
    ],
)
def test_options_out_of_range(build: Build, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        build(**options)


def test_the_base_class(build: Build) -> None:
    assert isinstance(build(50.0), BasePruner)
    study = optuna.create_study(pruner=build(50.0))

    def objective(trial: optuna.Trial) -> float:
        for step in range(3):
            trial.report(float(trial.number), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(trial.number)

    study.optimize(objective, n_trials=4)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] + ["PRUNED"] * 3
