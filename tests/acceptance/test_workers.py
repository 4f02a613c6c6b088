"""Several workers on one study, and what becomes of their trials when they die."""

import inspect
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.acceptance.conftest import storage_at, wait_until
from tlsearch import create_study
from tlsearch.finetune import fine_tune
from tlsearch.store.studies import find_study
from tlsearch.store.trials import trial_records
from tlsearch.worker import SilentProgress, run_worker
from tlsearch.worker import attempt as attempt_module

LONG = 400  # epochs: a trial that lasts until it is killed
SOME = 120  # epochs: long enough to be caught under way on any machine, short enough to finish


def records_of(storage_url, name="tiny"):
    storage = storage_at(storage_url)
    return trial_records(storage, find_study(storage, name).study_id)


def trials_of(storage_url, *names):
    """Optuna's trials of studies of one trial each."""
    storage = storage_at(storage_url)
    return [storage.get_all_trials(find_study(storage, name).study_id)[0] for name in names]


def attempts_of(storage_url, name="tiny"):
    """The attempts at the trials of a study, in order."""
    storage = storage_at(storage_url)
    query = "SELECT * FROM tlsearch.attempts WHERE study_id = :id ORDER BY trial_id, attempt"
    with storage.engine.connect() as connection:
        return connection.execute(sa.text(query), {"id": find_study(storage, name).study_id}).all()


def running(storage_url, epochs=0):
    """The running trials that have reported more than so many epochs."""
    return [r for r in records_of(storage_url) if r.state == "running" and r.epochs > epochs]


def test_two_workers_share_a_study_exactly(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=13)))
    workers = [tlsearch.start("worker", "tiny", "--threads", "1", "--json") for _ in range(2)]
    outputs = [worker.communicate(timeout=240) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    records = records_of(storage_url)
    assert len(records) == 13
    assert {r.state for r in records} <= {"complete", "pruned"}
    assert Counter(r.attempt for r in records) == {1: 13}
    assert [r.number for r in records] == list(range(13))
    by_worker = Counter(r.worker for r in records)
    assert len(by_worker) == 2, "one worker did everything: nothing was shared"
    assert len({r.params for r in records}) == 13
    assert records[0].origin == "default"
    assert {r.origin for r in records[1:]} == {"uniform", "tpe"}


def test_a_killed_workers_trial_is_run_again_and_completes(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=2, epochs=SOME, space="high_lr = 0.01")))
    victim = tlsearch.start("worker", "tiny")
    wait_until(lambda: running(storage_url, epochs=3), "the victim reports epochs")
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    (left,) = running(storage_url)
    tlsearch.run("worker", "tiny")
    records = records_of(storage_url)
    assert [r.state for r in records] == ["complete", "complete"]
    again = records[left.number]
    assert again.attempt == 2
    assert again.worker != left.worker
    assert again.epochs == SOME
    assert left.params == again.params


def test_a_trial_that_is_run_again_ends_as_if_never_interrupted(tlsearch, tiny, storage_url):
    spec = tiny(trials=1, epochs=SOME)
    tlsearch.run("create", str(spec))
    victim = tlsearch.start("worker", "tiny")
    wait_until(lambda: running(storage_url, epochs=2), "the victim reports epochs")
    victim.kill()
    victim.wait()
    tlsearch.run("worker", "tiny")
    (interrupted,) = records_of(storage_url)
    steady = tiny("steady", trials=1, epochs=SOME)
    tlsearch.run("create", str(steady))
    tlsearch.run("worker", "steady")
    (uninterrupted,) = records_of(storage_url, "steady")
    assert (interrupted.attempt, uninterrupted.attempt) == (2, 1)
    assert interrupted.val_accuracy == uninterrupted.val_accuracy
    curves = [trial.intermediate_values for trial in trials_of(storage_url, "tiny", "steady")]
    assert curves[0] == curves[1]
    assert sorted(curves[0]) == list(range(1, SOME + 1))
    (first, second) = attempts_of(storage_url)
    assert (first.ended, second.ended) == ("stalled", "complete")
    assert second.first_epoch > 1, "it went on from a checkpoint"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_worker_gives_its_trial_back(tlsearch, tiny, storage_url, sent, code):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    worker = tlsearch.start("worker", "tiny")
    wait_until(lambda: running(storage_url, epochs=1), "the worker reports epochs")
    worker.send_signal(sent)
    _, stderr = worker.communicate(timeout=60)
    assert worker.returncode == code
    assert "Traceback" not in stderr
    (record,) = records_of(storage_url)
    assert (record.state, record.attempt) == ("waiting", 1)
    assert record.reason_kind == "preempted"
    assert record.reason.startswith(f"{sent.name} on ")
    assert record.params is not None
    assert record.epochs >= 2, "its curve stays"


def test_a_frozen_workers_trial_moves_on_and_the_worker_lets_go(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    frozen = tlsearch.start("worker", "tiny")
    wait_until(lambda: running(storage_url, epochs=1), "the worker reports epochs")
    frozen.send_signal(signal.SIGSTOP)
    try:
        rescuer = tlsearch.start("worker", "tiny")
        (record,) = wait_until(
            lambda: [r for r in running(storage_url) if r.attempt == 2], "the trial is taken over"
        )
        new_worker = record.worker
    finally:
        frozen.send_signal(signal.SIGCONT)
    # Woken, it finds its trial gone, and waits for the one that has it now.
    wait_until(lambda: "waiting for 1" in frozen.stdout.readline(), "the woken worker waits")
    (record,) = running(storage_url)
    assert (record.worker, record.attempt) == (new_worker, 2)
    for worker in (frozen, rescuer):
        worker.kill()
        worker.communicate()


def attempts_under_way(url, attempt):
    return [record for record in running(url) if record.attempt == attempt]


def test_a_trial_whose_workers_keep_dying_fails_with_its_reason(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG, max_attempts=2)))
    for attempt in (1, 2):
        worker = tlsearch.start("worker", "tiny")
        wait_until(partial(attempts_under_way, storage_url, attempt), f"attempt {attempt} begins")
        worker.kill()
        worker.communicate()
    tlsearch.run("worker", "tiny", rc=1)
    (record,) = records_of(storage_url)
    assert record.state == "fail"
    assert record.reason_kind == "stalled"
    assert record.reason == "its worker fell silent in attempt 2 of 2"


def test_failing_trials_are_recorded_and_three_alike_stop_the_worker(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=8, epochs=30, space="high_lr = 10.0\nbeta = 10.0")))
    done = tlsearch.run("worker", "tiny", rc=1)
    assert "3 trials in a row failed for the same reason, so this worker stops: nan" in done.stderr
    records = [r for r in records_of(storage_url) if r.state != "waiting"]
    assert [r.state for r in records] == ["fail"] * 3
    assert [r.reason_kind for r in records] == ["nan"] * 3
    assert all(r.reason.startswith("the loss is not finite in epoch") for r in records)
    status = tlsearch.json("status", "tiny")
    assert status["counts"]["fail"] == 3


def test_limits_of_a_worker(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=5)))
    assert len(tlsearch.json("worker", "tiny", "--trials", "2")) == 2
    assert len(tlsearch.json("worker", "tiny", "--timeout", "0")) == 0
    assert len(tlsearch.json("worker", "tiny")) == 3
    assert tlsearch.json("worker", "tiny") == []
    assert tlsearch.json("status", "tiny")["ended"] == 5


def test_equal_trials_are_recognised(tlsearch, tiny):
    """Without low layers and L2-SP, four of the seven knobs have no effect."""
    space = """
    reinit_layers = 1
    high_lr = 0.01
    beta = 0.0001
    low_layers = 0
    l2sp_layers = 0
    """
    tlsearch.run("create", str(tiny(trials=4, space=space)))
    trials = tlsearch.json("worker", "tiny")
    assert [t["duplicate_of"] for t in trials] == [None, 0, 0, 0]
    assert len({t["val_accuracy"] for t in trials}) == 1
    assert [t["epochs"] for t in trials] == [3] * 4
    assert len({t["params"]["alpha"] for t in trials}) > 1


@pytest.mark.slow
def test_lagging_trials_are_pruned_but_not_the_default(tlsearch, tiny, storage_url):
    space = "high_lr = [1e-7, 3e-2]"
    tlsearch.run("create", str(tiny(trials=12, epochs=8, space=space, real=True)))
    tlsearch.run("worker", "tiny")
    records = records_of(storage_url)
    pruned = [r for r in records if r.state == "pruned"]
    assert pruned
    assert all(2 <= r.epochs < 8 for r in pruned)
    assert records[0].state == "complete"
    assert records[0].origin == "default"


def test_the_database_stays_away(tlsearch, tiny, tcp_server, tcp_database):
    url = tcp_server.url(tcp_database)
    tlsearch.storage_url = url
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG, more="outage_limit_seconds = 2")))
    worker = tlsearch.start("worker", "tiny")
    wait_until(lambda: running(url, epochs=1), "the worker reports epochs")
    tcp_server.execute(f"ALTER DATABASE {tcp_database} ALLOW_CONNECTIONS false")
    tcp_server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{tcp_database}'"
    )
    _, stderr = worker.communicate(timeout=120)
    assert worker.returncode == 2
    assert "the database has been out of reach for" in stderr
    assert "goes on from its last checkpoint" in stderr
    assert "Traceback" not in stderr


class InterruptedAtTheEnd(SilentProgress):
    """Ctrl-C as the last epoch ends: too late to hand the trial back."""

    def __init__(self, epochs):
        self._epochs = epochs
        self.ended_trials = []

    def epoch(self, number, report):
        if report.epoch == self._epochs:
            signal.raise_signal(signal.SIGINT)

    def ended(self, trial):
        self.ended_trials.append(trial)


def test_a_trial_that_ends_as_the_worker_is_interrupted_is_told_of(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=3, epochs=2)))
    progress = InterruptedAtTheEnd(2)
    with pytest.raises(KeyboardInterrupt):
        run_worker("tiny", storage_url, progress=progress)
    (told,) = progress.ended_trials
    assert (told.number, told.state) == (0, "complete")
    assert tlsearch.json("status", "tiny")["counts"] == {
        "complete": 1, "waiting": 0, "running": 0, "fail": 0, "pruned": 0,
    }  # fmt: skip


def test_a_trial_passes_few_frames_from_the_front_door_to_the_engine(
    tiny, storage_url, monkeypatch
):
    """Each is a step of its own; more would be another name for one of them."""
    passed = []

    def look(*args, **kwargs):
        frames = inspect.stack()[1:]
        passed.append([f.function for f in frames if Path(f.filename).parent.name == "worker"])
        return fine_tune(*args, **kwargs)

    monkeypatch.setattr(attempt_module, "fine_tune", look)
    create_study(tiny(trials=1), storage_url)
    run_worker("tiny", storage_url)
    (frames,) = passed
    assert frames[-1] == "run_worker"
    assert len([*frames, "fine_tune"]) <= 9, frames
