"""What tests of the database share: other processes, and embedded servers of their own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.db.rows import Rows
from tlsearch.postgres import cluster, embedded, sockets
from tlsearch.postgres.cluster import binary

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534
ENSURE = "from tlsearch.postgres.embedded import ensure_running; print(ensure_running())"


@pytest.fixture
def no_server_left(home: Path) -> Iterator[None]:
    """End the server that a test has in its `home`, whatever state it is in."""
    yield
    data = embedded.data_folder()
    kill_all(data)
    if (data / "PG_VERSION").exists() and (folder := sockets.new_folder(data)) != data:
        shutil.rmtree(folder)


@pytest.fixture
def rows(storage_url: str) -> Iterator[Rows]:
    made = Rows(storage_url)
    yield made
    made.session.close()


def psql(url: str, query: str) -> str:
    done = subprocess.run(
        [binary("psql"), url, "-Atc", query], capture_output=True, text=True, check=True
    )
    return done.stdout


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


def start_process(
    code: str = ENSURE,
    *,
    env: Mapping[str, str] | None = None,
    stderr: int | None = None,
    process_group: int | None = None,
) -> subprocess.Popen[str]:
    """Start a Python process; its standard input and output are pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=env,
        process_group=process_group,
    )


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("did not happen")


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
        with suppress(OSError):  # it ends by itself meanwhile
            if os.path.samefile(f"/proc/{pid}/cwd", data):
                os.kill(pid, signal.SIGKILL)


def stale_pid_file(pid: int) -> None:
    """What a killed server leaves behind, its pid now another process's."""
    data = embedded.data_folder()
    lines = [pid, data, int(time.time()) - 1000, cluster.PORT, data, "", "  1234567 7", "ready"]
    (data / "postmaster.pid").write_text("\n".join(map(str, lines)) + "\n")


def socket_folder(url: str) -> Path:
    return Path(str(sa.make_url(url).query["host"]))
