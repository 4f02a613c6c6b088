"""Locks between processes: killed, frozen and failing holders."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from tests.db.conftest import start_process, wait_for
from tests.pipes import read_line
from tlsearch.errors import StorageError
from tlsearch.store.connect import resolve_url
from tlsearch.store.locks import create_lock, study_lock


@pytest.fixture
def engine(storage_url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(resolve_url(storage_url))
    yield made
    made.dispose()


@contextmanager
def other_holder(
    url: str, study_id: int = 1, timeout: float = 60
) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    holder = start_process(
        "import sys, sqlalchemy; from tlsearch.store.locks import study_lock\n"
        "from tlsearch.store.connect import resolve_url\n"
        f"engine = sqlalchemy.create_engine(resolve_url({url!r}))\n"
        f"with study_lock(engine, {study_id}, {timeout}):\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
    )
    assert read_line(holder) == "held\n"
    yield holder
    holder.kill()
    holder.communicate()


def take(engine: sa.Engine, study_id: int, timeout: float = 60) -> None:
    with study_lock(engine, study_id, timeout):
        pass


def lose_session(engine: sa.Engine) -> None:
    """Wait until the server has ended the session that holds a lock."""
    wait_for(lambda: not locks_held(engine))


def locks_held(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        return int(connection.execute(sa.text(held)).scalar_one())


def fail_late(engine: sa.Engine) -> None:
    lose_session(engine)
    raise ZeroDivisionError


def test_lock_keeps_others_out(engine: sa.Engine, storage_url: str) -> None:
    with other_holder(storage_url):
        with pytest.raises(StorageError, match=r"lock on study 1 was not free within 0\.2 s"):
            take(engine, 1, 0.2)
        take(engine, 2, 0.2)
    take(engine, 1)


def test_create_lock(engine: sa.Engine) -> None:
    with create_lock(engine), pytest.raises(StorageError, match="on creating tables and studies"):
        take(engine, 0, 0.2)
    take(engine, 0, 0.2)


def test_lock_of_a_killed_process_is_free(engine: sa.Engine, storage_url: str) -> None:
    with other_holder(storage_url) as holder:
        holder.kill()
        take(engine, 1)


def test_frozen_holder_does_not_block_for_ever(engine: sa.Engine, storage_url: str) -> None:
    with other_holder(storage_url, timeout=0.5) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        take(engine, 1)
        os.kill(holder.pid, signal.SIGCONT)
        holder.communicate("go on\n", timeout=60)
        assert holder.returncode == 1


def test_leaving_after_the_lock_was_lost(engine: sa.Engine) -> None:
    with (
        pytest.raises(StorageError, match=r"lock on study 1 was lost: .* after 0\.2 s; try again"),
        study_lock(engine, 1, 0.2),
    ):
        lose_session(engine)
    take(engine, 1)


def test_a_failure_under_a_lost_lock_is_what_is_raised(engine: sa.Engine) -> None:
    with pytest.raises(ZeroDivisionError), study_lock(engine, 1, 0.2):
        fail_late(engine)
    take(engine, 1)


def test_a_failure_frees_the_lock(engine: sa.Engine) -> None:
    with pytest.raises(ZeroDivisionError), study_lock(engine, 1):
        raise ZeroDivisionError
    assert not locks_held(engine)


def test_waiting_is_not_cut_short_by_the_servers_limit(storage_url: str) -> None:
    short = sa.create_engine(resolve_url(f"{storage_url}&options=-c%20statement_timeout%3D200"))
    with other_holder(storage_url) as holder:
        with pytest.raises(StorageError, match="lock on study 1 was not free within 1 s"):
            take(short, 1, 1)
        threading.Timer(1, holder.kill).start()
        take(short, 1)
    short.dispose()
