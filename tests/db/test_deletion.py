"""Studies deleted while their workers claim, report and end trials."""

import threading

import pytest

from tests.db.claiming import (
    PREEMPTED,
    attempts,
    claim,
    execute,
    fresh,
    make_study,
    rows,
    worker_on,
)
from tlsearch.artifacts import attempt_file
from tlsearch.errors import StudyError, TrialLost
from tlsearch.store.claims import Claim, Curve
from tlsearch.store.connect import open_storage
from tlsearch.store.deletion import delete_study

TABLES = (
    "studies",
    "study_directions",
    "study_user_attributes",
    "study_system_attributes",
    "trials",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
    "tlsearch.attempts",
    "tlsearch.controls",
)
PARAM = ("high_lr", 0.1, '{"name": "FloatDistribution", "attributes": {}}')


@pytest.fixture
def storage(storage_url):
    return open_storage(storage_url)


def counts(storage):
    return {table: rows(storage, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


def fill(storage, storage_url, name):
    """A study with a row in every table that belongs to one."""
    study_id = make_study(storage, name, seeds=2, trials=5)
    worker = worker_on(storage_url, name)
    held = claim(worker)
    worker.write(held, [PARAM], {"origin": "default"}, {f"artifacts:{name}.png": "{}"})
    worker.complete(held, 0.5, Curve([1, 2], [0.4, 0.5]))
    execute(storage, "INSERT INTO trial_heartbeats VALUES (1 + :t, :t, now())", t=held.trial_id)
    storage.set_study_system_attr(study_id, "a", 1)
    return study_id, held


def test_nothing_of_it_stays_and_others_do(storage, storage_url):
    fill(storage, storage_url, "one")
    before = counts(storage)
    assert all(before.values()), "a row in every table"
    study_id, held = fill(storage, storage_url, "other")
    gone = delete_study(storage.engine, study_id)
    assert gone.n_trials == 2
    assert set(gone.files) == {"other.png", attempt_file(held.token)}
    assert counts(storage) == before
    assert rows(storage, "SELECT study_name FROM studies") == [("one",)]
    assert delete_study(storage.engine, study_id).n_trials == 0


def test_workers_notice(storage, storage_url):
    study_id = make_study(storage)
    worker = worker_on(storage_url)
    held = claim(worker)
    delete_study(storage.engine, study_id)
    with pytest.raises(TrialLost):
        worker.report(held, Curve([1], [0.1]))
    with pytest.raises(TrialLost):
        worker.complete(held, 0.1, Curve())
    assert not worker.release(held, PREEMPTED, Curve(), None)
    assert worker.is_over(held)
    with pytest.raises(StudyError, match="was deleted"):
        worker.claim(fresh())
    assert not any(counts(storage).values())


class Hand(threading.Thread):
    """Claims trials and reports their epochs, as fast as it can, until the study is gone."""

    def __init__(self, worker):
        super().__init__(daemon=True)
        self._worker = worker
        self.started = threading.Event()
        self.end = None

    def run(self):
        try:
            while isinstance(held := self._worker.claim(fresh()), Claim):
                for epoch in range(1, 40):
                    self._worker.report(held, Curve([epoch], [epoch / 100]))
                    self.started.set()
                self._worker.complete(held, 0.39, Curve())
        except (TrialLost, StudyError) as end:
            self.end = end


@pytest.mark.parametrize("round_", range(5))
def test_under_many_hands(storage, storage_url, round_):
    """Where Optuna's own deletion fails on rows that came meanwhile, and keeps that to itself."""
    study_id = make_study(storage, seeds=1, trials=10**6)
    hands = [Hand(worker_on(storage_url)) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        assert hand.started.wait(60)
    gone = delete_study(storage.engine, study_id)
    for hand in hands:
        hand.join(60)
    assert gone.n_trials >= 4
    assert all(hand.end is not None for hand in hands), [hand.end for hand in hands]
    assert not any(counts(storage).values())
    assert attempts(storage) == []
