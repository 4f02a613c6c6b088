"""A study's history is what Optuna's storage reads, whatever a trial holds."""

import math

import optuna
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from tlsearch.optuna_ext.history import StudyHistory

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
UNORDERED = ("_user_attrs", "_system_attrs", "intermediate_values")
NUMBERS = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ATTRS = st.dictionaries(TEXTS, JSON, max_size=4)
DISTRIBUTIONS = {
    "float": FloatDistribution(-1.0, 1.0),
    "log": FloatDistribution(1e-9, 1e9, log=True),
    "step": FloatDistribution(0.0, 1.0, step=0.1),
    "int": IntDistribution(-5, 5),
    "int log": IntDistribution(1, 2**40, log=True),
    "choice é '\"{}": CategoricalDistribution(["a", None, 1, 1.5, True, "ü 🚀 {}'\""]),
}


def some_value(draw, distribution):
    if isinstance(distribution, CategoricalDistribution):
        return draw(st.sampled_from(distribution.choices))
    if isinstance(distribution, IntDistribution):
        return draw(st.integers(distribution.low, distribution.high))
    if distribution.step is not None:
        return distribution.low + distribution.step * draw(st.integers(0, 10))
    return draw(st.floats(distribution.low, distribution.high))


@st.composite
def trials(draw):
    """A trial in any state, with anything that Optuna can hold."""
    state = draw(st.sampled_from(list(TrialState)))
    valued = {TrialState.COMPLETE: True, TrialState.PRUNED: draw(st.booleans())}
    names = draw(st.lists(st.sampled_from(list(DISTRIBUTIONS)), unique=True))
    return create_trial(
        state=state,
        value=draw(NUMBERS) if valued.get(state) else None,
        params={name: some_value(draw, DISTRIBUTIONS[name]) for name in names},
        distributions={name: DISTRIBUTIONS[name] for name in names},
        user_attrs=draw(ATTRS),
        system_attrs=draw(ATTRS),
        intermediate_values=draw(
            st.dictionaries(
                st.integers(-(2**31), 2**31 - 1), NUMBERS | st.just(math.nan), max_size=5
            )
        ),
    )


def history_of(study):
    return StudyHistory(study._storage._backend.engine, study._study_id)


def details(found):
    """Everything about trials; of attributes, Optuna leaves the order to the database."""
    return [
        repr({name: value for name, value in vars(trial).items() if name not in UNORDERED})
        + repr([sorted(trial.user_attrs.items()), sorted(trial.system_attrs.items())])
        + repr(sorted(trial.intermediate_values.items()))
        for trial in found
    ]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.lists(trials(), max_size=4), min_size=1, max_size=3))
def test_it_is_trial_for_trial_what_optuna_reads(empty_storage, batches):
    """Also types: their texts tell 1 from 1.0 and from True."""
    storage = empty_storage
    study = optuna.create_study(storage=storage, direction="maximize")
    history = history_of(study)
    for batch in batches:
        study.add_trials(batch)
        history.refresh()
        expected = storage.get_all_trials(study._study_id)
        assert details(history.trials()) == details(expected)
    for state in TrialState:
        expected = storage.get_all_trials(study._study_id, states=(state,))
        assert details(history.trials([state])) == details(expected)


def test_damaged_rows_do_not_lose_others(empty_storage):
    """A row that cannot be read is an error each time, and what was read before stays."""
    study = optuna.create_study(storage=empty_storage)
    study.add_trial(create_trial(value=0.5))
    study.enqueue_trial({})
    history = history_of(study)
    history.refresh()
    trial = study.ask()

    def execute(statement):
        with empty_storage.engine.begin() as connection:
            connection.execute(sa.text(statement), {"trial": trial._trial_id})

    execute(
        "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:trial, 'odd', '{')"
    )
    for _ in range(2):
        with pytest.raises(ValueError, match="Expecting"):
            history.refresh()
        assert [t.state.name for t in history.trials()] == ["COMPLETE", "WAITING"]
    execute("DELETE FROM trial_user_attributes WHERE key = 'odd' AND trial_id = :trial")
    history.refresh()
    assert [t.state.name for t in history.trials()] == ["COMPLETE", "RUNNING"]
