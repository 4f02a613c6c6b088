"""Expected accuracies in the database, and what keeps them up to date."""

import logging
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from optuna.storages import RDBStorage
from optuna.trial import create_trial

from tests.db.conftest import run
from tests.db.dumps.restore import restore
from tests.db.rows import Rows
from tlsearch.estimate import expected_scores
from tlsearch.store.connect import open_storage
from tlsearch.store.deletion import delete_study
from tlsearch.store.expected import expected_missing, read_expected, write_expected
from tlsearch.store.locks import EXPECTING, sole_attempt
from tlsearch.store.studies import find_study
from tlsearch.store.trials import best_first, trial_records
from tlsearch.worker.expecting import Expecting
from tlsearch.worker.progress import SilentProgress


@pytest.fixture
def storage(empty_storage_url: str) -> RDBStorage:
    """A database that version 0.1.0 left; its study `done` has seven complete trials."""
    restore(empty_storage_url)
    return open_storage(empty_storage_url)


class Told(SilentProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def preparing(self, what: str) -> None:
        self.lines.append(what)


def expecting_of(storage: RDBStorage, told: Told | None = None) -> Expecting:
    """What a worker of the study `done` has."""
    signals = SimpleNamespace(requested=threading.Event())
    context = SimpleNamespace(
        database=storage,
        study=find_study(storage, "done"),
        signals=signals,
        progress=told or Told(),
    )
    return Expecting(cast(Any, context))


def stored(storage: RDBStorage) -> dict[int, tuple[float, float]]:
    return read_expected(storage.engine, find_study(storage, "done").study_id)


def test_a_study_of_an_older_version_gets_them(storage: RDBStorage) -> None:
    study = find_study(storage, "done")
    assert expected_missing(storage.engine, study.study_id)
    records = trial_records(storage, study.study_id)
    assert {record.expected_accuracy for record in records} == {None}
    expecting_of(storage).catch_up()
    assert not expected_missing(storage.engine, study.study_id)
    found = expected_scores(records, study.space, study.data.n_val)
    assert stored(storage) == {n: (each.score, each.sd) for n, each in found.items()}
    records = trial_records(storage, study.study_id)
    complete = {record.number for record in records if record.state == "complete"}
    assert {r.number for r in records if r.expected_accuracy is not None} == complete
    by_expected = [record.expected_accuracy or 0.0 for record in best_first(records, "expected")]
    assert by_expected == sorted(by_expected, reverse=True)


def test_a_new_trial_renews_all(storage: RDBStorage) -> None:
    study = find_study(storage, "done")
    expecting = expecting_of(storage)
    expecting.trial_completed()
    before = stored(storage)
    trial = create_trial(
        params=study.space.plain_default().as_dict(),
        distributions=dict(study.space.distributions()),
        value=0.99,
    )
    storage.create_new_trial(study.study_id, trial)
    expecting.trial_completed()  # too soon: it would take too much of the worker's time
    assert stored(storage) == before
    expecting.catch_up()
    after = stored(storage)
    assert after.keys() - before.keys() == {max(after)}
    assert all(after[number] != before[number] for number in before)


def test_figures_of_fewer_trials_do_not_replace_newer_ones(storage: RDBStorage) -> None:
    study_id = find_study(storage, "done").study_id
    expecting_of(storage).catch_up()
    before = stored(storage)
    write_expected(storage.engine, study_id, {0: (0.5, 0.1), 99: (0.5, 0.1)})
    assert stored(storage) == before
    assert read_expected(storage.engine, study_id, [0]) == {0: before[0]}


def test_one_worker_is_enough(storage: RDBStorage) -> None:
    with sole_attempt(storage.engine, find_study(storage, "done").study_id, EXPECTING) as free:
        assert free
        expecting_of(storage).trial_completed()
    assert stored(storage) == {}


def test_a_failure_ends_no_worker(
    storage: RDBStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("not positive definite")

    told = Told()
    expecting = expecting_of(storage, told)
    with monkeypatch.context() as patched:
        patched.setattr("tlsearch.estimate.expected_scores", fail)
        expecting.trial_completed()
        expecting.trial_completed()
    assert told.lines == [
        "expected scores could not be computed: ArithmeticError: not positive definite"
    ]
    with caplog.at_level(logging.INFO):
        url = storage.engine.url.render_as_string(False)
        run(url, "DROP TABLE tlsearch.expected_accuracies CASCADE")
        expecting.catch_up()
    assert "expected scores were not written" in caplog.text


def test_they_go_with_their_study(storage: RDBStorage) -> None:
    expecting_of(storage).catch_up()
    url = storage.engine.url.render_as_string(False)
    delete_study(storage.engine, find_study(storage, "done").study_id)
    rows = Rows(url)
    assert rows.ask("SELECT count(*) FROM tlsearch.expected_accuracies") == [(0,)]
    rows.session.close()
