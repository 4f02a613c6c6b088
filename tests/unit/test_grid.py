"""How much of a grid is left, whoever has tried, is trying or is about to draw its points."""

import pytest
from optuna.trial import TrialState, create_trial

from tlsearch.sampler import grid_state
from tlsearch.spec import SamplerSpec

SPEC = SamplerSpec(
    name="GridSampler",
    options={"search_space": {"high_lr": [0.001, 0.01, 0.1], "reinit_layers": [1, 2]}},
)


def trial(state, **system_attrs):
    value = 0.5 if state is TrialState.COMPLETE else None
    return create_trial(state=state, value=value, system_attrs=system_attrs)


def left_of(*trials):
    found = grid_state(SPEC, trials)
    assert found is not None
    assert found.points == 6
    return found.left


def test_other_samplers_have_no_grid():
    assert grid_state(SamplerSpec(), []) is None


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING])
def test_a_point_counts_once(state):
    assert left_of() == 6
    assert left_of(trial(state, grid_id=3)) == 5
    assert left_of(trial(TrialState.COMPLETE, grid_id=3), trial(state, grid_id=3)) == 5


def test_a_queued_trial_brings_its_own_point():
    queued = trial(TrialState.RUNNING, fixed_params={"high_lr": 0.01})
    assert left_of(queued) == 6
    assert left_of(queued, trial(TrialState.RUNNING)) == 5  # has yet to draw
    assert left_of(trial(TrialState.WAITING, grid_id=0)) == 5  # came back from a worker that ended


def test_never_below_none():
    drawn = [trial(TrialState.COMPLETE, grid_id=n) for n in range(6)]
    found = grid_state(SPEC, [*drawn, trial(TrialState.RUNNING), trial(TrialState.WAITING)])
    assert found is not None
    assert (found.left, found.begun, found.waiting, found.running) == (0, 7, 1, 1)
