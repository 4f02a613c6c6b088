"""A study's history is what Optuna's storage reads, whoever wrote it and whenever it is read."""

import json
import math

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from tests.db.claiming import PREEMPTED, claim, make_study, run_one, silence, worker_on
from tests.db.conftest import start_process
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.store.claims import Curve
from tlsearch.store.connect import open_storage

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


def shown(found):
    """All there is of trials; of attributes, Optuna leaves the order to the database."""
    return [
        repr({name: value for name, value in vars(trial).items() if name not in UNORDERED})
        + repr([sorted(trial.user_attrs.items()), sorted(trial.system_attrs.items())])
        + repr(sorted(trial.intermediate_values.items()))
        for trial in found
    ]


@pytest.fixture
def empty(storage_url):
    with without_notices():
        yield open_storage(storage_url)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.lists(trials(), max_size=4), min_size=1, max_size=3))
def test_it_is_trial_for_trial_what_optuna_reads(empty, batches):
    """Also types: what is shown tells 1 from 1.0 and from True."""
    storage = empty
    study = optuna.create_study(storage=storage, direction="maximize")
    history = history_of(study)
    for batch in batches:
        study.add_trials(batch)
        history.refresh()
        expected = storage.get_all_trials(study._study_id)
        assert shown(history.trials()) == shown(expected)
    for state in TrialState:
        expected = storage.get_all_trials(study._study_id, states=(state,))
        assert shown(history.trials([state])) == shown(expected)


@pytest.fixture
def storage(storage_url):
    storage = open_storage(storage_url)
    make_study(storage, trials=20, seeds=2, max_attempts=2)
    return storage


def test_it_follows_trials_through_all_that_workers_do_with_them(storage, storage_url):
    history, worker = StudyHistory(storage.engine, 1), worker_on(storage_url)

    def check(refresh=history.refresh):
        refresh()
        expected = storage.get_all_trials(1)
        if refresh == history.refresh:
            assert shown(history.trials()) == shown(expected)
        assert sorted(t.number for t in history.finished()) == [
            t.number for t in expected if t.state.is_finished()
        ]

    check()
    held = claim(worker)
    check()
    worker.write(
        held, [("x", 0.5, optuna.distributions.distribution_to_json(FloatDistribution(0, 1)))]
    )
    worker.report(held, Curve([1, 2], [0.1, 0.2]))
    check()
    worker.release(held, PREEMPTED, Curve([3], [0.3]), None)
    check(history.refresh_finished)
    check()
    again = claim(worker)
    other = claim(worker)
    assert again.trial_id == held.trial_id
    check()
    worker.prune(other, 0.1, Curve([1], [0.1]))
    check(history.refresh_finished)
    silence(storage)
    third = claim(worker)  # rescued
    check()
    assert third.attempt == 3
    worker.complete(third, 0.9, Curve())
    check()
    for _ in range(2):
        lost = claim(worker)
        silence(storage)
    run_one(worker)  # the silent one failed for good
    check()
    failed = next(t for t in history.finished() if t.state is TrialState.FAIL)
    assert failed._trial_id == lost.trial_id
    assert [t.number for t in history.finished()][-2:] == [2, 3]


CHILD = """
import json, sys, time
from tlsearch.store.connect import open_storage
from tlsearch.optuna_ext.history import StudyHistory
history = StudyHistory(open_storage(sys.stdin.readline().strip()).engine, 1)
seen = []
while len(seen) < 20:
    history.refresh_finished() if len(seen) % 2 else history.refresh()
    seen = history.finished()
rows = [[t.number, t.value, t.intermediate_values, t.user_attrs["attempt"]] for t in seen]
print(json.dumps(rows))
"""


def test_another_process_sees_all_that_ends_while_it_looks(storage, storage_url):
    child = start_process(CHILD)
    child.stdin.write(storage_url + "\n")
    child.stdin.flush()
    worker = worker_on(storage_url)
    for n in range(20):
        held = claim(worker)
        if n % 5 == 0:
            worker.release(held, PREEMPTED, Curve([1], [0.9]), None)
            held = claim(worker)
        worker.complete(held, n / 100, Curve([1], [n / 100]))
    seen = json.loads(child.communicate()[0])
    assert child.returncode == 0
    expected = {
        t.number: [t.value, {"1": t.intermediate_values[1]}, t.user_attrs["attempt"]]
        for t in storage.get_all_trials(1)
    }
    assert {number: rest for number, *rest in seen} == expected
    assert len(seen) == 20


def test_damaged_rows_do_not_lose_others(storage, storage_url):
    """A row that cannot be read is said each time, and what was read before stays."""
    history, worker = StudyHistory(storage.engine, 1), worker_on(storage_url)
    run_one(worker)
    history.refresh()
    held = claim(worker)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json)"
            f" VALUES ({held.trial_id}, 'odd', '{{')"
        )
    for refresh in (history.refresh, history.refresh):
        with pytest.raises(ValueError, match="Expecting"):
            refresh()
        assert [t.state.name for t in history.trials()] == ["COMPLETE", "WAITING"]
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trial_user_attributes WHERE key = 'odd'")
    history.refresh()
    assert [t.state.name for t in history.trials()] == ["COMPLETE", "RUNNING"]
