"""Faults of the database, the disk and the clock under real workers: nothing is lost."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command, wait_until
from tests.acceptance.crashes import (
    Retraining,
    Server,
    ask,
    attempts_of,
    curves_of,
    files_in,
    reported,
    start_worker,
    stopped,
)
from tests.conftest import server_folder
from tlsearch.store.claims import Claims, Refusal, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study
from tlsearch.store.trials import trial_records

EPOCHS = 120  # enough to interrupt a trial, few enough to train it again
LONG = 4000  # epochs: a trial that lasts until it is stopped
TAME = "high_lr = 0.01\nalpha = 0.0001\nbeta = 0.0001"  # no trial fails
STALLED_SECONDS = 3  # as the spec of `tiny` says


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with server_folder() as folder:
        server = Server.create(folder / "postgres")
        yield server
        server.end()


@pytest.fixture
def server(own_server: Server) -> Server:
    if not own_server.answers():
        own_server.start()
    return own_server


@pytest.fixture
def url(server: Server, tlsearch: Command) -> str:
    tlsearch.storage_url = server.create_database(f"test_{uuid.uuid4().hex}")
    return tlsearch.storage_url


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


@pytest.fixture
def full_disk(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder with less room than a checkpoint takes."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs a small file system, which only root may mount")
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def records(url, name="tiny"):
    storage = open_storage(url)
    return trial_records(storage, find_study(storage, name).study_id)


def claims_of_new_worker(url) -> Claims:
    """The claims of a worker that starts now."""
    storage = open_storage(url)
    study = find_study(storage, "tiny")
    session = WorkerRegistration(storage.engine, "cpu", "", STALLED_SECONDS)
    session.enter()
    return Claims(storage.engine, study, session.worker_id)


def assert_as_undisturbed(url) -> None:
    """The only trial is complete, has each epoch once, and equals an undisturbed one bit by bit."""
    (record,) = records(url)
    assert record.state == "complete"
    expected = Retraining(url).curve(record.params)
    assert curves_of(url) == {0: expected}
    assert record.val_accuracy == expected[-1][1]


def test_postgresql_restarts_and_crashes_under_a_worker(tlsearch, tiny, server, url, artifacts):
    tlsearch.run("create", str(tiny(trials=1, epochs=2 * EPOCHS)))
    worker = start_worker(url)
    wait_until(lambda: reported(url) > 2, "the worker reports epochs")
    server.stop()
    server.start()
    before = reported(url)
    wait_until(lambda: reported(url) > before, "the worker reports again")
    server.kill()
    time.sleep(STALLED_SECONDS + 1)  # by its last heartbeat, the worker looks dead
    server.start()
    assert isinstance(claims_of_new_worker(url).claim(str(uuid.uuid4())), Refusal)
    stdout, stderr = worker.communicate(timeout=240)
    assert (worker.returncode, stderr) == (0, "")
    assert "the database is out of reach" in stdout
    assert [a.ended for a in attempts_of(url)] == ["complete"]
    assert_as_undisturbed(url)


@pytest.mark.slow
def test_an_outage_past_the_limit(tlsearch, tiny, server, url, artifacts):
    more = "outage_limit_seconds = 3"
    tlsearch.run("create", str(tiny(trials=1, epochs=EPOCHS, more=more)))
    worker = start_worker(url)
    wait_until(lambda: reported(url) > 2, "the worker reports epochs")
    server.stop("immediate")
    _, stderr = worker.communicate(timeout=240)
    assert worker.returncode == 2
    (sentence,) = stderr.splitlines()
    assert sentence.startswith("error: the database has been out of reach for ")
    assert "goes on from its last checkpoint" in sentence
    assert len(files_in(artifacts)) == 1
    server.start()
    tlsearch.run("worker", "tiny")
    (first, second) = attempts_of(url)
    assert (first.ended, second.ended) == ("stalled", "complete")
    assert second.first_epoch > first.last_epoch, "what was trained offline is not trained again"
    assert files_in(artifacts) == [str(second.token)], "the model alone is left"
    assert_as_undisturbed(url)


@pytest.mark.slow
def test_a_worker_is_ended_while_the_database_is_away(tlsearch, tiny, server, url, artifacts):
    tlsearch.run("create", str(tiny(trials=1, epochs=EPOCHS)))
    worker = start_worker(url)
    wait_until(lambda: reported(url) > 2, "the worker reports epochs")
    server.stop("immediate")
    worker.terminate()
    _, stderr = worker.communicate(timeout=60)
    assert worker.returncode == 143
    assert "Traceback" not in stderr
    assert len(files_in(artifacts)) == 1
    server.start()
    tlsearch.run("worker", "tiny")
    (first, second) = attempts_of(url)
    assert (first.ended, second.ended) == ("stalled", "complete")
    assert second.first_epoch > first.last_epoch
    assert_as_undisturbed(url)


def test_a_full_disk(tlsearch, tiny, storage_url, full_disk):
    tlsearch.run("create", str(tiny(trials=2)))
    done = tlsearch.run("worker", "tiny")
    assert "goes on without a checkpoint" in done.stdout
    assert "No space left on device" in done.stdout
    assert [r.state for r in records(storage_url)] == ["complete", "complete"]
    problems = ask(
        storage_url,
        "SELECT value_json FROM trial_user_attributes WHERE key = 'checkpoint_problem'",
    )
    assert len(problems) == 2
    assert all("No space left on device" in problem.value_json for problem in problems)
    assert list(full_disk.iterdir()) == [], "nothing half-written is left"


def test_clocks_an_hour_off(tlsearch, tiny, storage_url, artifacts):
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("needs libfaketime: apt-get install faketime")
    tlsearch.run("create", str(tiny(trials=2, epochs=LONG, space=TAME)))
    behind, ahead = (
        start_worker(
            storage_url,
            environment={
                "LD_PRELOAD": str(library),
                "FAKETIME": offset,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            },
        )
        for offset in ("-1h", "+1h")
    )
    with stopped(behind, ahead):
        wait_until(lambda: len(curves_of(storage_url)) == 2, "both workers train")
        age = (
            "SELECT extract(epoch FROM clock_timestamp() - min(started_at)) FROM tlsearch.attempts"
        )
        wait_until(lambda: ask(storage_url, age)[0][0] > 2 * STALLED_SECONDS, "time has passed")
        new_worker = claims_of_new_worker(storage_url)
        assert isinstance(new_worker.claim(str(uuid.uuid4())), Refusal), "both are alive"
        ahead.kill()
        claim = wait_until(
            lambda: not isinstance(c := new_worker.claim(str(uuid.uuid4())), Refusal) and c,
            "the new worker takes over the dead worker's trial",
        )
    taken = [a for a in attempts_of(storage_url) if a.trial_id == claim.trial_id]
    assert [a.ended for a in taken] == ["stalled", None]
    assert [a.attempt for a in attempts_of(storage_url)].count(1) == 2
