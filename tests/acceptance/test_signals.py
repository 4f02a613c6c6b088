"""SIGTERM and SIGINT in every phase of a worker: it ends, and nothing is left running."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import wait_until
from tests.acceptance.crashes import (
    SUFFIX,
    Retraining,
    ask,
    attempts_of,
    curves_of,
    files_in,
    reported,
    start_worker,
)
from tests.pipes import read_line
from tlsearch.finetune.checkpointfile import read_position
from tlsearch.store.connect import open_storage
from tlsearch.store.locks import study_lock
from tlsearch.store.studies import find_study
from tlsearch.store.trials import trial_records

EPOCHS = 120  # long enough to be caught under way, short enough to be trained again
LONG = 4000  # epochs: a trial that lasts until it is stopped


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


def assert_ended_by_sigterm(worker: subprocess.Popen[str], url: str) -> str:
    stdout, stderr = worker.communicate(timeout=60)
    assert worker.returncode == 143, (stdout, stderr)
    assert "Traceback" not in stderr
    running = "SELECT number FROM trials WHERE state = 'RUNNING'"
    assert ask(url, running) == []
    assert all(attempt.ended_at is not None for attempt in attempts_of(url))
    left = ask(url, "SELECT left_because FROM tlsearch.worker_sessions ORDER BY started_at")
    assert left[-1].left_because == "SystemExit: 143"
    return stdout


def test_while_it_starts(tlsearch, tiny, storage_url, artifacts):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    worker = start_worker(storage_url)
    line = read_line(worker)
    while line.startswith("starting ..."):
        line = read_line(worker)
    assert line.startswith("reading the images")
    worker.terminate()
    assert_ended_by_sigterm(worker, storage_url)


def test_while_it_claims(tlsearch, tiny, storage_url, artifacts):
    """The claim is made on the server while the signal waits, and has to be released."""
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    storage = open_storage(storage_url)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = :name"
    name = storage.engine.url.database
    with study_lock(storage.engine, find_study(storage, "tiny").study_id):
        worker = start_worker(storage_url)
        wait_until(lambda: ask(storage_url, waiting, name=name), "the worker claims")
        worker.terminate()
    assert_ended_by_sigterm(worker, storage_url)
    assert [attempt.ended for attempt in attempts_of(storage_url)] == ["preempted"]


@pytest.mark.slow
def test_while_it_waits(tlsearch, tiny, storage_url, artifacts):
    tlsearch.run("create", str(tiny(trials=1)))
    tlsearch.run("pause", "tiny")
    worker = start_worker(storage_url)
    wait_until(lambda: "the study is paused" in read_line(worker), "the worker waits")
    worker.terminate()
    assert_ended_by_sigterm(worker, storage_url)
    assert attempts_of(storage_url) == []


def test_in_training_and_resumed_by_another_process(tlsearch, tiny, storage_url, artifacts):
    """Stopped between two steps of an epoch, it ends bit-equal to an uninterrupted training."""
    tlsearch.run("create", str(tiny(trials=1, epochs=EPOCHS)))
    worker = start_worker(storage_url)
    wait_until(lambda: reported(storage_url) > 2, "the worker reports epochs")
    worker.terminate()
    assert_ended_by_sigterm(worker, storage_url)
    (name,) = files_in(artifacts)
    position = read_position((artifacts / f"{name}{SUFFIX}").read_bytes())
    (first,) = attempts_of(storage_url)
    assert (first.ended, str(first.token)) == ("preempted", name)
    assert first.last_epoch == first.checkpoint_epoch == len(position.curve)
    assert position.batches > 0, "in the middle of an epoch"
    tlsearch.run("worker", "tiny")
    second = attempts_of(storage_url)[-1]
    assert (second.ended, second.first_epoch) == ("complete", first.last_epoch + 1)
    storage = open_storage(storage_url)
    (record,) = trial_records(storage, find_study(storage, "tiny").study_id)
    expected = Retraining(storage_url).curve(record.params)
    assert curves_of(storage_url) == {0: expected}
    assert record.val_accuracy == expected[-1][1]


def test_a_second_signal_ends_it_at_once(tlsearch, tiny, storage_url, artifacts):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    worker = start_worker(storage_url)
    wait_until(lambda: reported(storage_url) > 2, "the worker reports epochs")
    worker.send_signal(signal.SIGINT)
    worker.send_signal(signal.SIGTERM)
    _, stderr = worker.communicate(timeout=60)
    assert worker.returncode == 143
    assert stderr.splitlines()[-1] == "stopped at once; another worker takes the trial over"
    assert [attempt.ended for attempt in attempts_of(storage_url)] == [None]


@pytest.mark.slow
def test_when_its_output_is_closed(tlsearch, tiny, storage_url, artifacts):
    """As by `tlsearch worker tiny | head -3`."""
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    worker = start_worker(storage_url)
    wait_until(lambda: reported(storage_url) > 2, "the worker reports epochs")
    assert worker.stdout is not None
    worker.stdout.close()
    assert worker.wait(timeout=60) == 1
    (attempt,) = attempts_of(storage_url)
    assert attempt.ended == "preempted"
    assert attempt.reason.startswith("output closed on ")
    assert attempt.last_epoch - attempt.checkpoint_epoch <= 1
