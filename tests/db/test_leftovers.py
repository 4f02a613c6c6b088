"""What dead servers and starters leave behind: real processes, real signals."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.db.conftest import (
    ask,
    connect,
    kill_all,
    postmaster,
    run,
    stale_pid_file,
    start_process,
    wait_for,
)
from tlsearch.store import cluster, embedded

pytestmark = pytest.mark.usefixtures("no_server_left")


def test_killed_postmaster(home: Path) -> None:
    url = embedded.ensure_running()
    run(url, "CREATE TABLE kept AS SELECT 7 AS n")
    with connect(url).connect():
        # A session that computes does not notice for a while that its postmaster is gone.
        worker = start_process(
            "import psycopg2, sys; c = psycopg2.connect(sys.stdin.readline()).cursor();"
            "c.execute('SELECT count(*) FROM generate_series(1, 20000000)')",
        )
        worker.stdin.write(url + "\n")
        worker.stdin.flush()
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 2%'"
        wait_for(lambda: ask(url, active + " AND pid <> pg_backend_pid()"))
        os.kill(postmaster(), signal.SIGKILL)
        assert embedded.ensure_running() == url
    assert ask(url, "SELECT n FROM kept") == 7
    worker.communicate(timeout=60)


def test_all_processes_killed(home: Path) -> None:
    url = embedded.ensure_running()
    run(url, "CREATE TABLE kept AS SELECT 7 AS n")
    kill_all(embedded.data_folder())
    assert embedded.ensure_running() == url
    assert ask(url, "SELECT n FROM kept") == 7


def test_eight_at_once_after_a_kill(home: Path) -> None:
    url = embedded.ensure_running()
    os.kill(postmaster(), signal.SIGKILL)
    processes = [start_process() for _ in range(8)]
    assert {process.communicate(timeout=120)[0] for process in processes} == {url + "\n"}


@pytest.mark.parametrize(
    "moment", ["postgres.init-*", "postgres.init-*/global", "*/postmaster.pid"]
)
def test_starter_killed(home: Path, moment: str) -> None:
    starter = start_process()
    parent = embedded.data_folder().parent
    wait_for(lambda: list(parent.glob(moment)))
    starter.kill()
    starter.communicate()
    url = embedded.ensure_running()
    assert ask(url, "SELECT 1") == 1
    assert list(parent.glob("postgres.init-*")) == []


def test_pid_file_names_a_foreign_process(home: Path) -> None:
    embedded.ensure_running()
    embedded.stop()
    uid, _ = cluster.server_user(embedded.data_folder()) or (None, None)
    other = subprocess.Popen(["sleep", "300"], user=uid)
    stale_pid_file(other.pid)
    assert embedded.stop() is False
    assert ask(embedded.ensure_running(), "SELECT 1") == 1
    stale = postmaster() == other.pid
    embedded.stop()
    assert other.poll() is None
    assert not stale
    other.kill()
    other.wait()


def test_pid_file_names_another_server(home: Path, tcp_server) -> None:
    embedded.ensure_running()
    embedded.stop()
    other = int((tcp_server.socket_folder / "postmaster.pid").read_text().split()[0])
    stale_pid_file(other)
    assert embedded.stop() is False
    assert ask(embedded.ensure_running(), "SELECT 1") == 1
    embedded.stop()
    tcp_server.execute("SELECT 1")
