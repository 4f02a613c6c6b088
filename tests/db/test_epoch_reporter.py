"""Epochs on their way to a real database, which may be away, refuse, or have lost the trial."""

import threading

import pytest

from tests.conftest import execute as administer
from tests.db.claiming import PREEMPTED, claim, execute, make_study, rows, silence, worker_on
from tests.db.conftest import wait_for
from tlsearch.errors import DatabaseAway, TrialLost
from tlsearch.store.claims import Curve
from tlsearch.store.connect import open_storage
from tlsearch.worker.epoch_reporter import EpochReporter
from tlsearch.worker.progress import SilentProgress

NEVER = 3600.0  # seconds between two heartbeats: only epochs are sent


class Told(SilentProgress):
    def __init__(self):
        self.lines = []

    def preparing(self, what):
        self.lines.append(what)


@pytest.fixture
def storage(storage_url):
    storage = open_storage(storage_url)
    make_study(storage)
    return storage


@pytest.fixture
def worker(storage, storage_url):
    return worker_on(storage_url)


def reporter_on(worker, held, interval=NEVER, limit=NEVER, progress=None):
    return EpochReporter(worker, held, interval, limit, progress or Told())


def curve(storage, held):
    return storage.get_trial(held.trial_id).intermediate_values


def test_epochs_arrive_in_order_whatever_the_pace(storage, worker):
    held = claim(worker)
    with reporter_on(worker, held) as reporter:
        for epoch in range(1, 200):
            reporter.report(epoch, epoch / 1000)
        wait_for(lambda: len(curve(storage, held)) == 199)
        reporter.note_checkpoint(150)
        reporter.report(200, 0.2)
        wait_for(lambda: len(curve(storage, held)) == 200)
        assert reporter.undelivered() == (Curve([], []), 150)
        assert not reporter.should_stop()
        assert not reporter.away
    assert curve(storage, held) == {epoch: epoch / 1000 for epoch in range(1, 201)}
    assert rows(storage, "SELECT last_epoch, checkpoint_epoch FROM tlsearch.attempts") == [
        (200, 150)
    ]


def test_signs_of_life_without_epochs(storage, worker):
    held = claim(worker)
    with reporter_on(worker, held, interval=0.05):
        silence(storage)
        fresh = "SELECT 1 FROM tlsearch.attempts WHERE last_seen_at > now() - interval '2 s'"
        wait_for(lambda: rows(storage, fresh))


def test_what_was_not_delivered_is_there_after_closing(worker):
    held = claim(worker)
    reporter = reporter_on(worker, held)
    for epoch in (1, 2):
        reporter.report(epoch, 0.5)
    reporter.note_checkpoint(1)
    assert reporter.undelivered() == (Curve([1, 2], [0.5, 0.5]), 1)


def test_what_the_study_wants_comes_back_and_stays(storage, worker):
    """A pause that is over a moment later has been acted on: the trial is being released."""
    held = claim(worker)
    with reporter_on(worker, held, interval=0.05) as reporter:
        execute(storage, "UPDATE tlsearch.controls SET state = 'paused'")
        wait_for(reporter.should_stop)
        execute(storage, "UPDATE tlsearch.controls SET state = 'running'")
        reporter.report(1, 0.5)
        wait_for(lambda: curve(storage, held))
        wait_for(lambda: not reporter.undelivered()[0].epochs)
        assert reporter.refusal.verdict == "paused"
        reporter.check()  # nothing went wrong


def test_a_lost_trial(storage, worker, storage_url):
    held = claim(worker)
    with reporter_on(worker, held) as reporter:
        silence(storage)
        claim(worker_on(storage_url))
        reporter.report(1, 0.5)
        wait_for(reporter.should_stop)
        for touch in (reporter.raise_if_lost, reporter.check):
            with pytest.raises(TrialLost):
                touch()
    assert curve(storage, held) == {}


def test_a_database_that_refuses(storage, worker, storage_url):
    held = claim(worker)
    administer(storage_url, "ALTER TABLE tlsearch.attempts RENAME TO away")
    with reporter_on(worker, held) as reporter:
        reporter.report(1, 0.5)
        wait_for(reporter.should_stop)
        reporter.raise_if_lost()
        with pytest.raises(Exception, match=r'relation "tlsearch\.attempts" does not exist'):
            reporter.check()
        assert not reporter.away


def test_an_error_of_our_own_stops_the_training_too(worker):
    """Else the trial would go on without heartbeats, and another worker would take it over."""
    held = claim(worker)
    with reporter_on(worker, held) as reporter:
        reporter.report("one", 0.5)
        wait_for(reporter.should_stop)
        with pytest.raises(Exception, match="one"):
            reporter.check()


class TestOutages:
    @pytest.fixture
    def away(self, tcp_server, tcp_database):
        """Let nobody reach the database, and let everybody again."""

        def switch(off):
            tcp_server.execute(f"ALTER DATABASE {tcp_database} ALLOW_CONNECTIONS {not off}")
            tcp_server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{tcp_database}'"
            )

        return switch

    @pytest.fixture
    def storage(self, tcp_server, tcp_database):
        storage = open_storage(tcp_server.url(tcp_database))
        make_study(storage)
        return storage

    @pytest.fixture
    def storage_url(self, tcp_server, tcp_database):
        return tcp_server.url(tcp_database)

    def test_nothing_is_lost(self, storage, worker, away):
        held, told = claim(worker), Told()
        with reporter_on(worker, held, progress=told) as reporter:
            reporter.report(1, 0.1)
            wait_for(lambda: curve(storage, held))
            away(True)
            for epoch in (2, 3):
                reporter.report(epoch, epoch / 10)
            wait_for(lambda: reporter.away)
            assert not reporter.should_stop()
            assert reporter.undelivered()[0].epochs == [2, 3]
            reporter.report(4, 0.4)
            away(False)
            wait_for(lambda: not reporter.away)
            wait_for(lambda: not reporter.undelivered()[0].epochs)
        assert curve(storage, held) == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}
        assert "training goes on, epochs are held" in told.lines[0]
        assert told.lines[-1] == "the database is back; all epochs are delivered"

    def test_one_that_lasts_too_long(self, worker, away):
        held = claim(worker)
        away(True)
        try:
            with reporter_on(worker, held, limit=0.5) as reporter:
                reporter.report(1, 0.1)
                wait_for(reporter.should_stop)
                reporter.raise_if_lost()
                with pytest.raises(DatabaseAway, match="out of reach for"):
                    reporter.check()
            assert reporter.undelivered()[0].epochs == [1]
        finally:
            away(False)


class ClosedBetween(threading.Event):
    """Is set, with the wake-up that goes with it, just after it was found not to be."""

    def __init__(self, wake):
        super().__init__()
        self._wake_up = wake

    def is_set(self):
        was = super().is_set()
        if not was:
            self.set()
            self._wake_up.set()
        return was


def test_closing_is_noticed_whenever_it_happens(worker):
    held = claim(worker)
    reporter = reporter_on(worker, held)
    reporter._over = ClosedBetween(reporter._wake)
    with reporter:
        reporter.report(1, 0.5)
        wait_for(lambda: not reporter._thread.is_alive())


def test_closing_does_not_wait_for_a_delivery_that_hangs(storage, worker):
    """It goes on in its thread; what it held is released with the trial, and may arrive twice."""
    held = claim(worker)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE tlsearch.attempts")
        with reporter_on(worker, held) as reporter:
            reporter.report(1, 0.5)
            wait_for(lambda: rows(storage, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        assert reporter._thread.is_alive()
        assert reporter.undelivered()[0].epochs == [1]
    worker.release(held, PREEMPTED, reporter.undelivered()[0], None)
    wait_for(lambda: not reporter._thread.is_alive())
    assert curve(storage, held) == {1: 0.5}
