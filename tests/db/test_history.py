"""A study's history follows all that workers do with its trials."""

import json

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from tests.db.claiming import PREEMPTED, claim, make_study, run_one, silence, worker_on
from tests.db.conftest import start_process
from tests.optuna_ext.test_history import details
from tests.pipes import write_line
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.store.claims import Curve
from tlsearch.store.connect import open_storage


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
            assert details(history.trials()) == details(expected)
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
    write_line(child, storage_url)
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
