"""The embedded server: real processes, real signals."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tlsearch.errors import StorageError
from tlsearch.store import embedded

ENSURE = "from tlsearch.store.embedded import ensure_running; print(ensure_running())"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(autouse=True)
def no_server_left(home: Path) -> Iterator[None]:
    yield
    data = embedded.data_folder()
    kill_all(data)
    if (data / "PG_VERSION").exists() and (folder := embedded._new_socket_folder(data)) != data:
        shutil.rmtree(folder)


def connect(url: str) -> sa.Engine:
    return sa.create_engine(
        url.replace("postgresql:", "postgresql+psycopg2:"),
        poolclass=sa.NullPool,
        isolation_level="AUTOCOMMIT",
    )


def ask(url: str, query: str) -> object:
    with connect(url).connect() as connection:
        return connection.execute(sa.text(query)).scalar()


def run(url: str, statement: str) -> None:
    with connect(url).connect() as connection:
        connection.execute(sa.text(statement))


def postmaster() -> int:
    return int((embedded.data_folder() / "postmaster.pid").read_text().split()[0])


def family(pid: int) -> list[int]:
    """A process and its children."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in shown.stdout.splitlines()]
    return [pid, *(child for child, parent in pairs if parent == pid)]


def kill_all(data: Path) -> None:
    try:
        pids = family(postmaster())
    except OSError:
        return
    for pid in pids:
        if Path(f"/proc/{pid}/cwd").exists() and os.path.samefile(f"/proc/{pid}/cwd", data):
            os.kill(pid, signal.SIGKILL)


def start_process(code: str = ENSURE, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload]


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("did not happen")


def stale_pid_file(pid: int) -> None:
    """What a killed server leaves behind, its pid now another process's."""
    data = embedded.data_folder()
    lines = [pid, data, int(time.time()) - 1000, embedded.PORT, data, "", "  1234567 7", "ready"]
    (data / "postmaster.pid").write_text("\n".join(map(str, lines)) + "\n")


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


def test_killed_postmaster(home: Path) -> None:
    url = embedded.ensure_running()
    run(url, "CREATE TABLE kept AS SELECT 7 AS n")
    with connect(url).connect():
        # A session that computes does not notice for a while that its postmaster is gone.
        worker = start_process(
            "import psycopg2, sys; c = psycopg2.connect(sys.stdin.readline()).cursor();"
            "c.execute('SELECT count(*) FROM generate_series(1, 20000000)')",
            stdin=subprocess.PIPE,
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
    uid, _ = embedded.server_user(embedded.data_folder()) or (None, None)
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


@pytest.mark.parametrize(
    "name",
    ["long é path/" * 20, "q'u\"o $x `y` \\ % {z} ü &=#?", "comma,s"],
    ids=["long", "quotes", "comma"],
)
def test_odd_folders(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / name))
    assert len(str(home / name)) > 200 or "path" not in name
    url = embedded.ensure_running()
    assert ask(url, "SELECT 1") == 1
    assert str(ask(url, "SHOW data_directory")) == str(embedded.data_folder())
    psql = [embedded.binary("psql"), url, "-Atc", "SELECT 1"]
    assert subprocess.run(psql, capture_output=True, check=True).stdout == b"1\n"
    os.kill(postmaster(), signal.SIGKILL)
    assert embedded.ensure_running() == url
    assert embedded.stop() is True
    assert (socket_folder(url) == embedded.data_folder()) == name.startswith("q")


def socket_folder(url: str) -> Path:
    return Path(str(sa.make_url(url).query["host"]))


def test_another_temporary_folder_finds_the_same_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ("long" * 30)))
    url = embedded.ensure_running()
    other = home / "tmp"
    other.mkdir()
    process = start_process(env=os.environ | {"TMPDIR": str(other)})
    assert process.communicate(timeout=60)[0] == url + "\n"


def test_open_socket_folder_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ("long" * 30)))
    folder = socket_folder(embedded.ensure_running())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    embedded.stop()
    folder.chmod(0o755)
    with pytest.raises(StorageError, match="0700: remove it") as caught:
        embedded.ensure_running()
    assert str(folder) in str(caught.value)
    folder.rmdir()
    folder.symlink_to(home)
    with pytest.raises(StorageError, match="0700: remove it"):
        embedded.ensure_running()
    folder.unlink()
    embedded.ensure_running()


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


@as_root
def test_root_opens_the_way_only_where_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, grouped = home / "closed", home / "closed" / "open"
    grouped.mkdir(parents=True)
    closed.chmod(0o700)
    grouped.chmod(0o751)
    monkeypatch.setenv("XDG_DATA_HOME", str(grouped))
    url = embedded.ensure_running()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE(grouped.stat().st_mode) == 0o751
    assert Path(f"/proc/{postmaster()}").stat().st_uid == embedded.data_folder().stat().st_uid != 0
    assert ask(url, "SELECT 1") == 1


@as_root
def test_root_with_a_private_temporary_folder(home: Path) -> None:
    temporary = home / "private" / "tmp"
    temporary.mkdir(mode=0o700, parents=True)
    more = {"TMPDIR": str(temporary), "XDG_DATA_HOME": str(home / ("long" * 30))}
    url = start_process(env=os.environ | more).communicate(timeout=60)[0]
    assert socket_folder(url.strip()).parent == temporary
    assert ask(url.strip(), "SELECT 1") == 1
    stop = "from tlsearch.store.embedded import stop; print(stop())"
    assert start_process(stop, env=os.environ | more).communicate(timeout=60)[0] == "True\n"


@as_root
@pytest.mark.parametrize("name", ["short", "long" * 40])
def test_as_an_ordinary_user(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / name
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    home.chmod(0o755)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))

    def live() -> None:
        url = embedded.ensure_running()
        run(url, "CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(postmaster(), signal.SIGKILL)
        assert embedded.ensure_running() == url
        stale_pid = subprocess.Popen(["sleep", "300"])
        assert embedded.stop() is True
        stale_pid_file(stale_pid.pid)
        assert embedded.ensure_running() == url
        assert ask(url, "SELECT n FROM kept") == 7
        assert postmaster() != stale_pid.pid
        stale_pid.kill()
        assert Path(f"/proc/{postmaster()}").stat().st_uid == NOBODY

    as_nobody(live)
    # Root goes on with the same server, and starts it as the same user.
    assert ask(embedded.ensure_running(), "SELECT n FROM kept") == 7
    assert embedded.stop() is True
    assert ask(embedded.ensure_running(), "SELECT n FROM kept") == 7
    assert Path(f"/proc/{postmaster()}").stat().st_uid == NOBODY


def as_nobody(work: Callable[[], None]) -> None:
    """Run in a fork as an ordinary user, who may not be able to read this Python's folder."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
