"""Studies of version 0.1.0 go on in a database that this version migrates."""

from pathlib import Path

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.crashes import ask
from tests.db.dumps.restore import restore
from tlsearch.store import schema
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study
from tlsearch.store.trials import trial_records

VERSION = "SELECT version FROM tlsearch.installed"
TRIALS = (
    "SELECT study, trial, state, val_accuracy, epochs FROM tlsearch.trials_flat"
    " WHERE study IN ('done', 'half') ORDER BY study, trial"
)


@pytest.fixture
def old(empty_storage_url: str, capsys: pytest.CaptureFixture[str]) -> Command:
    """Commands on a database with the studies `done` and `half`, see tests/db/dumps/make.py."""
    restore(empty_storage_url)
    return Command(empty_storage_url, capsys)


def test_creating_a_study_migrates_the_database(old: Command, tiny) -> None:
    before = [tuple(row) for row in ask(old.storage_url, TRIALS)]
    old.run("create", str(tiny()))
    assert ask(old.storage_url, VERSION) == [(schema.VERSION,)]
    assert [tuple(row) for row in ask(old.storage_url, TRIALS)] == before
    assert old.json("status", "done")["counts"]["complete"] == 7
    assert old.json("best", "done", "--top", "3")[0]["reason_kind"] is None


def test_a_worker_goes_on_with_the_trials_of_an_older_one(old: Command, tiny_weights: Path) -> None:
    """The waiting trials first, then new ones until the budget is spent."""
    old.run("worker", "half", "--weights", str(tiny_weights))
    storage = open_storage(old.storage_url)
    records = trial_records(storage, find_study(storage, "half").study_id)
    assert [record.number for record in records] == list(range(14))
    assert {record.state for record in records} <= {"complete", "pruned", "fail"}
    assert (records[3].reason_kind, records[3].reason) == (
        "nan",
        "the loss is not finite in epoch 3",
    )
    preempted, failed = records[5], records[6]
    assert (preempted.attempt, failed.attempt) == (3, 2)
    for record in (preempted, failed):
        assert record.state in ("complete", "pruned")
        assert record.reason_kind is record.reason is None
    assert old.json("status", "half")["state"] == "running"
    assert "its budget of 14 trials is spent" in old.run("worker", "half").stdout


def test_an_older_worker_refuses_a_newer_schema(tlsearch: Command, tiny) -> None:
    tlsearch.run("create", str(tiny()))
    newer = schema.VERSION + 1
    with open_storage(tlsearch.storage_url).engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE tlsearch.installed SET version = {newer}")
    stderr = tlsearch.run("worker", "tiny", rc=2).stderr
    assert stderr.count("\n") == 1
    assert f"its schema is of version {newer}, this tlsearch knows {schema.VERSION}" in stderr
