"""What dead servers and starters leave behind: lock files, processes, half-made folders.

Called only under the lock that lets one process at a time create, start or stop the server.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Literal

from tlsearch.postgres.cluster import PORT

Holder = Literal["nobody", "server", "other"]

PID_FILE = "postmaster.pid"


def holder(lock: Path, data: Path) -> Holder:
    """Say whose process a lock file of PostgreSQL names; "server" whenever in doubt.

    PostgreSQL takes any process of its user for the old server, also a dead one that its parent
    does not collect, as in many containers; and pg_ctl signals it.
    """
    try:
        pid = int(lock.read_text(errors="replace").split("\n", 1)[0])
        words = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return "nobody"
    found = dict(line.split(":\t", 1) for line in words.split("\n") if ":\t" in line)
    user = int(found["Uid"].split()[1])
    if found["Name"] != "postgres" or found["State"][0] == "Z" or user != data.stat().st_uid:
        return "other"
    try:
        return "server" if os.path.samefile(f"/proc/{pid}/cwd", data) else "other"
    except OSError:
        return "server"


def remove_stale_locks(data: Path, socket_folder: Path) -> None:
    """Remove the lock files that would keep a new server from starting."""
    for lock in (data / PID_FILE, socket_folder / f".s.PGSQL.{PORT}.lock"):
        if holder(lock, data) == "other":
            lock.unlink(missing_ok=True)


def remove_half_made(parent: Path, prefix: str) -> None:
    """Remove the folders of creations that were interrupted."""
    for stale in parent.glob(f"{prefix}*"):
        shutil.rmtree(stale, ignore_errors=True)


def will_go_away(words: str) -> bool:
    """Whether a server did not start for processes that are soon gone, or soon ready.

    The words are all that was logged: sessions of the last server write between those of the new.
    """
    return bool(_WAIT.search(words))


# What a new server says while processes of the last one, or one being started, are still there.
_WAIT = re.compile(
    r'lock file ".*" already exists|pre-existing shared memory|'
    r"the database system is (starting up|not yet accepting)"
)
