"""Studies created twice at once, or deleted while workers run, and files of dead workers."""

import json
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import optuna
import pytest

from tests.acceptance.conftest import wait_until
from tests.acceptance.crashes import (
    SUFFIX,
    ask,
    attempts_of,
    curves_of,
    files_in,
    start_worker,
    stopped,
)
from tests.pipes import read_line, write_line
from tlsearch.store.claims import Claim, Claims, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study

ROUNDS = 5
LONG = 4000  # epochs: a trial that lasts until it is stopped
TAME = "high_lr = 0.01\nalpha = 0.0001\nbeta = 0.0001"  # no trial fails

# Creates a study as soon as its spec comes over stdin.
CREATOR = """
import json, sys
from tlsearch.studies.create import create_study
print("ready", flush=True)
for line in sys.stdin:
    spec, url = json.loads(line)
    print(json.dumps(create_study(spec, url)[1]), flush=True)
"""


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


def start_creator() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CREATOR]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_create_at_the_same_moment(tiny, storage_url):
    """The first time on an empty database, which has no tables yet either."""
    creators = [start_creator() for _ in range(2)]
    with stopped(*creators):
        assert [read_line(creator) for creator in creators] == ["ready\n"] * 2
        for n in range(ROUNDS):
            line = json.dumps([str(tiny(f"study {n}")), storage_url])
            for creator in creators:
                write_line(creator, line)
            created = [json.loads(read_line(creator)) for creator in creators]
            assert sorted(created) == [False, True]
    names = ask(storage_url, "SELECT study_name FROM studies ORDER BY study_id")
    assert [row.study_name for row in names] == [f"study {n}" for n in range(ROUNDS)]
    assert len(ask(storage_url, "SELECT * FROM tlsearch.controls")) == ROUNDS
    assert len(ask(storage_url, "SELECT * FROM trials WHERE state = 'WAITING'")) == ROUNDS


def by_optuna(tlsearch):
    """As the dashboard does it: without effect or error if a worker reports at the same time."""
    storage = open_storage(tlsearch.storage_url)

    def is_gone():
        with suppress(KeyError):
            optuna.delete_study(study_name="tiny", storage=storage)
        return not ask(tlsearch.storage_url, "SELECT FROM studies")

    wait_until(is_gone, "the study is gone")


def by_tlsearch(tlsearch):
    assert tlsearch.json("delete", "tiny", "--yes")["trials"] == 2
    assert not ask(tlsearch.storage_url, "SELECT FROM studies")


@pytest.mark.parametrize("delete", [by_tlsearch, pytest.param(by_optuna, marks=pytest.mark.slow)])
def test_a_study_deleted_under_its_workers(tlsearch, tiny, storage_url, artifacts, delete):
    tlsearch.run("create", str(tiny(trials=2, epochs=LONG, space=TAME)))
    workers = [start_worker(storage_url) for _ in range(2)]
    with stopped(*workers):
        wait_until(lambda: len(curves_of(storage_url)) == 2, "both workers train", 240)
        wait_until(lambda: len(files_in(artifacts)) == 2, "both workers have checkpoints")
        delete(tlsearch)
        outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [2, 2]
    assert [stderr for _, stderr in outputs] == ["error: study 'tiny' was deleted\n"] * 2
    assert files_in(artifacts) == []


def test_deleting_takes_models_and_pictures_along(tlsearch, tiny, storage_url, artifacts):
    tlsearch.run("create", str(tiny(trials=2)))
    tlsearch.run("worker", "tiny")
    assert len(files_in(artifacts)) == 2
    assert len(list(artifacts.iterdir())) > 2, "pictures too"
    foreign = artifacts / f"{uuid.uuid4()}{SUFFIX}"
    foreign.write_bytes(b"of another study")
    refused = tlsearch.run("delete", "tiny", rc=2)
    assert "give --yes" in refused.stderr
    done = tlsearch.run("delete", "tiny", "--yes")
    assert done.stdout.startswith("study 'tiny' is deleted: 2 trials, ")
    assert list(artifacts.iterdir()) == [foreign]
    assert "does not exist" in tlsearch.run("delete", "tiny", "--yes", rc=2).stderr
    assert tlsearch.run("create", str(tiny())).stdout.startswith("study 'tiny' created")


def claim(url, age_seconds=0):
    """Claim a trial as a worker does whose last heartbeat is that old."""
    storage = open_storage(url)
    study = find_study(storage, "tiny")
    session = WorkerRegistration(storage.engine, "cpu", "", 3)
    session.enter()
    claimed = Claims(storage.engine, study, session.worker_id).claim(str(uuid.uuid4()))
    assert isinstance(claimed, Claim)
    ask(
        url,
        "UPDATE tlsearch.attempts SET last_seen_at = last_seen_at - make_interval(secs => :age)"
        " WHERE token = CAST(:token AS uuid)",
        age=age_seconds,
        token=claimed.token,
    )
    return claimed


def test_files_of_a_trial_that_fails_go(tlsearch, tiny, storage_url, artifacts):
    """Its worker died in the last attempt that it was allowed."""
    tlsearch.run("create", str(tiny(trials=2, max_attempts=1)))
    dead = claim(storage_url, age_seconds=3600)
    artifacts.mkdir()
    (artifacts / f"{dead.token}{SUFFIX}").write_bytes(b"a checkpoint")
    (artifacts / f"{uuid.uuid4()}{SUFFIX}").write_bytes(b"of another study")
    tlsearch.run("worker", "tiny")
    (failed, complete) = attempts_of(storage_url)
    assert (failed.ended, complete.ended) == ("stalled", "complete")
    assert dead.token not in files_in(artifacts)
    assert str(complete.token) in files_in(artifacts), "a model is kept"
    assert len(files_in(artifacts)) == 2, "another study's file is left alone"


def test_files_of_a_training_that_diverges_go(tlsearch, tiny, storage_url, artifacts):
    space = "high_lr = 1.0\nbeta = 10.0"
    tlsearch.run("create", str(tiny(trials=1, epochs=60, space=space)))
    done = tlsearch.run("worker", "tiny", rc=1)
    assert "every trial that trained failed: nan: the loss is not finite" in done.stderr
    (attempt,) = attempts_of(storage_url)
    assert attempt.ended == "fail"
    assert attempt.failure_kind == "nan"
    assert attempt.reason.startswith("the loss is not finite")
    assert attempt.last_epoch >= 2, "it had a checkpoint, written with every epoch"
    assert files_in(artifacts) == []


def test_a_worker_that_dies_before_the_end_is_recorded_loses_no_model(
    tlsearch, tiny, storage_url, artifacts
):
    """All epochs are in the file, which is the model by then: only the end is missing."""
    tlsearch.run("create", str(tiny(trials=1)))
    tlsearch.run("worker", "tiny")
    before = curves_of(storage_url)
    for statement in (
        "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL",
        "DELETE FROM trial_values",
        "UPDATE tlsearch.attempts SET ended = NULL, ended_at = NULL, has_model = false,"
        " last_seen_at = last_seen_at - interval '1 hour'",
    ):
        ask(storage_url, statement)
    tlsearch.run("worker", "tiny")
    (first, second) = attempts_of(storage_url)
    assert (first.ended, second.ended, second.has_model) == ("stalled", "complete", True)
    assert files_in(artifacts) == [str(second.token)]
    assert curves_of(storage_url) == before
    assert second.first_epoch == 4, "nothing was trained again"
