"""The life of the embedded server: real processes."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.db.conftest import (
    ENSURE,
    ask,
    connect,
    family,
    postmaster,
    run,
    socket_folder,
    start_process,
    wait_for,
)
from tlsearch.errors import StorageError
from tlsearch.postgres import embedded
from tlsearch.store.connect import open_storage

pytestmark = pytest.mark.usefixtures("no_server_left")


def test_first_use_makes_a_private_server(home: Path) -> None:
    url = embedded.ensure_running()
    data = embedded.data_folder()
    assert url == f"postgresql://tlsearch@/tlsearch?host={data}&port=5432"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for name, value in {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "TimeZone": "UTC",
        "fsync": "on",
    }.items():
        assert ask(url, f"SHOW {name}") == value
    hba = ask(url, "SELECT string_agg(type || auth_method, ' ') FROM pg_hba_file_rules")
    assert set(str(hba).split()) == {"localtrust", "hostreject"}
    assert ask(url, "SELECT datcollate FROM pg_database WHERE datname = 'tlsearch'") == "C"
    pid = postmaster()
    assert embedded.ensure_running() == url
    assert postmaster() == pid


def test_stop_and_start_keep_the_data(home: Path) -> None:
    assert embedded.stop() is False
    url = embedded.ensure_running()
    run(url, "CREATE TABLE kept AS SELECT 7 AS n")
    pids = family(postmaster())
    assert embedded.stop() is True
    assert embedded.stop() is False
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert embedded.ensure_running() == url
    assert ask(url, "SELECT n FROM kept") == 7


def test_stop_ends_open_sessions(home: Path) -> None:
    with connect(embedded.ensure_running()).connect() as connection:
        assert embedded.stop() is True
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELECT 1"))


def test_eight_first_uses_at_once(home: Path) -> None:
    processes = [start_process() for _ in range(8)]
    urls = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 8
    assert urls == {embedded.ensure_running() + "\n"}
    assert {path.name for path in embedded.data_folder().parent.iterdir()} == {
        "postgres",
        "postgres.lock",
    }


def test_ctrl_c_in_the_starters_terminal(home: Path) -> None:
    starter = start_process(ENSURE + "; import time; time.sleep(300)", process_group=0)
    wait_for((embedded.data_folder() / "postmaster.pid").exists)
    url = embedded.ensure_running()
    os.killpg(starter.pid, signal.SIGINT)
    starter.communicate(timeout=60)
    assert starter.returncode != 0
    pid = postmaster()
    assert os.getsid(pid) != os.getsid(0)
    assert ask(url, "SELECT 1") == 1
    assert postmaster() == pid


def test_output_is_not_inherited(home: Path) -> None:
    process = start_process(stderr=subprocess.STDOUT)
    assert process.communicate(timeout=60)[0].startswith("postgresql://")
    assert ask(embedded.ensure_running(), "SELECT 1") == 1
    assert set(os.readlink(f"/proc/{postmaster()}/fd/{fd}") for fd in (1, 2)) == {
        str(embedded.data_folder() / "server.log")
    }


def test_environment_for_other_servers_is_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere.invalid", "PGDATABASE": "x"}.items():
        monkeypatch.setenv(name, value)
    assert ask(embedded.ensure_running(), "SELECT 1") == 1


def test_a_full_server_counts_as_running(home: Path) -> None:
    url = embedded.ensure_running()
    run(url, "ALTER SYSTEM SET max_connections = 4")
    embedded.stop()
    embedded.ensure_running()
    held = [connect(url).connect() for _ in range(4)]
    assert embedded.ensure_running() == url
    for connection in held:
        connection.close()


def test_dropped_database_is_made_again(home: Path) -> None:
    url = embedded.ensure_running()
    run(url.replace("@/tlsearch?", "@/postgres?"), "DROP DATABASE tlsearch")
    assert ask(embedded.ensure_running(), "SELECT current_database()") == "tlsearch"


def test_other_major_version(home: Path) -> None:
    data = embedded.data_folder()
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(StorageError, match="is of PostgreSQL 17, not 18: dump it"):
        embedded.ensure_running()
    assert embedded.stop() is False


def test_folder_with_something_else(home: Path) -> None:
    data = embedded.data_folder()
    data.mkdir(parents=True)
    (data / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="is no PostgreSQL data folder: move it away"):
        embedded.ensure_running()
    assert (data / "letter.txt").read_text() == "dear"


def test_failure_names_the_log_and_the_last_error(home: Path) -> None:
    embedded.ensure_running()
    embedded.stop()
    with (embedded.data_folder() / "postgresql.conf").open("a") as file:
        file.write("\nmax_connections = many\n")
    with pytest.raises(StorageError, match=r"does not start: FATAL: .*server\.log") as caught:
        embedded.ensure_running()
    assert "\n" not in str(caught.value)


def test_folder_that_cannot_be(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "file"))
    with pytest.raises(StorageError, match="Not a directory"):
        embedded.ensure_running()


def test_a_fork_does_not_keep_the_lock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 1.0)
    data = embedded.data_folder()
    with embedded._only_one(data):
        pid = os.fork()  # as another thread may do, for its own work
        if pid == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with embedded._only_one(data):
            pass
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGHOSTADDR", "127.0.0.1"),
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGTARGETSESSIONATTRS", "read-only"),
        ("PGCHANNELBINDING", "require"),
        ("PGGSSENCMODE", "require"),
        ("PGSSLNEGOTIATION", "direct"),
        ("PGSSLMODE", "verify-full"),
    ],
)
def test_what_other_servers_must_fulfil(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    url = embedded.ensure_running()
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(embedded, "_start", None)  # it is seen to run
    assert socket_folder(embedded.ensure_running()) == socket_folder(url)
    assert open_storage().get_all_studies() == []


@pytest.mark.parametrize("name", [b"caf\xe9", "größe 猫".encode(), b"\xff\xfe, $HOME \"'"])
def test_any_name_of_the_home(home: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    """Also one that is not UTF-8, in which no URL can name the socket."""
    folder = os.fsencode(home) + b"/" + name
    monkeypatch.setenv("XDG_DATA_HOME", os.fsdecode(folder))
    url = embedded.ensure_running()
    url.encode()
    assert ask(url, "SELECT 1") == 1
    assert open_storage(url).get_all_studies() == []
    assert embedded.ensure_running() == url
    assert embedded.stop() is True
    assert embedded.stop() is False


def test_no_room_for_a_new_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "ROOM_BYTES", 1 << 60)
    with pytest.raises(
        StorageError, match=rf"{home}.*no room is left there .* MB free, .*make room"
    ):
        embedded.ensure_running()
    assert not embedded.data_folder().exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("megabytes", [20, 50])
def test_a_full_disk(home: Path, megabytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from tlsearch.postgres import embedded; from tlsearch.errors import *\n"
        "embedded.ROOM_BYTES = 1 if {early} else embedded.ROOM_BYTES\n"
        "try: embedded.ensure_running(); embedded.stop()\n"
        "except StorageError as error: print(error)"
    )
    for early in (False, True):
        script = (
            f'mount -t tmpfs -o size={megabytes}m tmpfs {home} && exec {sys.executable} -c "$1"'
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", code.format(early=early)],
            capture_output=True,
            text=True,
            check=False,
        )
        if "Operation not permitted" in done.stderr:
            pytest.skip("no mounts here")
        assert done.stderr == ""
        if early and megabytes == 50:
            continue  # it fits, just
        assert done.stdout.startswith("cannot create a database in ")
        assert "no room is left there" in done.stdout
