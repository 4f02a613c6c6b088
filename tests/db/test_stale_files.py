"""What dead servers and starters leave behind: real processes, real signals."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.pipes import write_line
from tlsearch.errors import StorageError
from tlsearch.postgres import cluster, embedded

pytestmark = pytest.mark.usefixtures("no_server_left")


def test_killed_postmaster(home: Path) -> None:
    url = embedded.ensure_running()
    run(url, "CREATE TABLE kept AS SELECT 7 AS n")
    with connect(url).connect(), computing_session(url):
        os.kill(postmaster(), signal.SIGKILL)
        assert embedded.ensure_running() == url
    assert ask(url, "SELECT n FROM kept") == 7


@contextmanager
def computing_session(url: str) -> Iterator[None]:
    """A session that computes does not notice for a while that its postmaster is gone."""
    worker = start_process(
        "import psycopg2, sys; c = psycopg2.connect(sys.stdin.readline()).cursor();"
        "c.execute('SELECT count(*) FROM generate_series(1, 20000000)')"
    )
    write_line(worker, url)
    active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 2%'"
    wait_for(lambda: ask(url, active + " AND pid <> pg_backend_pid()"))
    yield
    worker.communicate(timeout=60)


def test_words_of_dying_sessions_do_not_end_the_waiting(home: Path) -> None:
    url = embedded.ensure_running()
    with computing_session(url):
        os.kill(postmaster(), signal.SIGKILL)
        # Sessions of the killed server go on writing to the log that the new one writes to.
        words = "FATAL:  terminating connection due to unexpected postmaster exit"
        log = embedded.data_folder() / "server.log"
        dying = start_process(
            "import time\nwhile True:\n"
            f"    print({words!r}, file=open({str(log)!r}, 'a')); time.sleep(0.002)"
        )
        try:
            assert embedded.ensure_running() == url
        finally:
            dying.kill()
            dying.communicate()


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


@pytest.mark.parametrize("name", ["sleep", "sl eep) S (1", "sl\udcffep"])
def test_pid_file_names_a_foreign_process(home: Path, name: str) -> None:
    embedded.ensure_running()
    embedded.stop()
    uid, _ = cluster.server_user(embedded.data_folder()) or (None, None)
    home.chmod(0o755)
    program = home / name
    sleep = shutil.which("sleep")
    assert sleep is not None
    program.symlink_to(sleep)
    other = subprocess.Popen([program, "300"], user=uid)
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


def test_stop_does_not_signal_a_foreign_process(home: Path) -> None:
    """The server answers, but its pid means another process here: as between containers."""
    embedded.ensure_running()
    pid_file = embedded.data_folder() / "postmaster.pid"
    true_words, pid = pid_file.read_text(), postmaster()
    uid, _ = cluster.server_user(embedded.data_folder()) or (None, None)
    other = subprocess.Popen(["sleep", "300"], user=uid)
    pid_file.write_text(true_words.replace(str(pid), str(other.pid), 1))
    with pytest.raises(StorageError, match="names another process: stop it in"):
        embedded.stop()
    time.sleep(0.2)
    assert other.poll() is None
    other.kill()
    other.wait()
    # Now it is nobody's: nothing can be stopped, and that is not passed over.
    with pytest.raises(StorageError, match=r"does not stop: .*No such process"):
        embedded.stop()
    pid_file.write_text(true_words)
    assert embedded.stop() is True
