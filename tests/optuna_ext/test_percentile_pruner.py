"""The incremental percentile pruner decides as Optuna's own, report for report."""

import math
from typing import cast

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import MedianPruner, PatientPruner, PercentilePruner
from optuna.trial import TrialState, create_trial

from tlsearch.optuna_ext import IncrementalPercentilePruner

VALUES = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, 0.5000000000000001, 1.0, math.nan, math.inf, -math.inf]),
    st.floats(-2, 2),
)
CURVES = st.dictionaries(st.integers(0, 6), VALUES, max_size=7)
STATES = st.sampled_from([TrialState.COMPLETE] * 4 + [TrialState.PRUNED, TrialState.FAIL])
OPTIONS = st.fixed_dictionaries(
    {
        "percentile": st.sampled_from([0.0, 10.0, 25.0, 33.3, 50.0, 75.0, 100.0]),
        "n_startup_trials": st.integers(0, 4),
        "n_warmup_steps": st.integers(0, 4),
        "interval_steps": st.integers(1, 3),
        "n_min_trials": st.integers(1, 4),
    }
)


def study_of(trials, direction):
    study = optuna.create_study(direction=direction)
    for state, curve in trials:
        value = 0.5 if state is TrialState.COMPLETE else None
        study.add_trial(create_trial(state=state, value=value, intermediate_values=curve))
    return study


def running(curve):
    """A running trial whose values were reported in this order."""
    trial = create_trial(state=TrialState.RUNNING)
    trial.intermediate_values = curve
    return trial


@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:invalid value", "ignore:overflow")
@settings(max_examples=400, deadline=None)
@given(
    trials=st.lists(st.tuples(STATES, CURVES), max_size=12),
    later=st.lists(st.tuples(STATES, CURVES), max_size=4),
    judged=st.lists(CURVES, min_size=1, max_size=4),
    direction=st.sampled_from(["maximize", "minimize"]),
    options=OPTIONS,
)
def test_decides_as_optunas(trials, later, judged, direction, options):
    study = study_of(trials, direction)
    theirs, ours = PercentilePruner(**options), IncrementalPercentilePruner(**options)
    for state, curve in [*later, (TrialState.FAIL, {})]:
        for each in judged:
            for n in range(len(each) + 1):
                trial = running(dict(list(each.items())[:n]))
                assert ours.prune(study, trial) is bool(theirs.prune(study, trial))
        value = 0.5 if state is TrialState.COMPLETE else None
        study.add_trial(create_trial(state=state, value=value, intermediate_values=curve))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_decides_as_optunas_at_the_very_percentile(direction):
    """Values on, and a rounding error beside, percentiles of many values with ties."""
    generator = np.random.default_rng(0)
    values = generator.integers(0, 40, 400) / 7
    study = study_of([(TrialState.COMPLETE, {1: v}) for v in values], direction)
    for percentile in np.linspace(0, 100, 41):
        theirs, ours = PercentilePruner(percentile), IncrementalPercentilePruner(percentile)
        for exact in (np.percentile(values, percentile), np.percentile(values, 100 - percentile)):
            for value in (exact, np.nextafter(exact, 9), np.nextafter(exact, -9), exact + 0.1):
                trial = running({1: float(value)})
                assert ours.prune(study, trial) is bool(theirs.prune(study, trial))


def test_in_a_whole_study():
    """With `Trial.should_prune`, one study pruned by each: the same trials at the same steps."""

    def pruned_at(pruner):
        study = optuna.create_study(pruner=pruner)
        for number in range(60):
            generator, trial = np.random.default_rng(number), study.ask()
            for step in range(12):
                trial.report(float(generator.normal()) - step * number / 99, step)
                if trial.should_prune():
                    break
            state = TrialState.COMPLETE if step == 11 else TrialState.PRUNED
            study.tell(trial, 0.0 if step == 11 else None, state)
        return [trial.last_step for trial in study.trials]

    expected = pruned_at(MedianPruner(3, 2))
    assert set(expected) > {11}
    assert pruned_at(IncrementalPercentilePruner(50.0, 3, 2)) == expected
    assert pruned_at(PatientPruner(IncrementalPercentilePruner(50.0, 3, 2), 2)) == pruned_at(
        PatientPruner(MedianPruner(3, 2), 2)
    )


def test_two_studies_of_one_storage():
    storage = optuna.storages.InMemoryStorage()
    pruner = IncrementalPercentilePruner(50.0, 0)
    studies = [optuna.create_study(storage=storage, study_name=str(at)) for at in (0, 1)]
    for at, study in enumerate(studies):
        study.add_trial(create_trial(value=0, intermediate_values={0: float(at)}))
    assert [pruner.prune(study, running({0: 0.5})) for study in studies] == [True, False]


def test_before_the_warmup_nothing_is_read():
    pruner = IncrementalPercentilePruner(50.0, n_warmup_steps=3)
    no_study = cast("optuna.Study", None)
    assert pruner.prune(no_study, running({0: 0.1, 2: 0.1})) is False


@pytest.mark.parametrize("percentile", [-1, 101])
def test_percentile_out_of_range(percentile):
    with pytest.raises(ValueError, match="between 0 and 100"):
        IncrementalPercentilePruner(percentile)
