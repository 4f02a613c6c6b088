"""Where the embedded server's unix socket is, and whether the server answers there."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

import sqlalchemy as sa

from tlsearch.errors import StorageError
from tlsearch.postgres.cluster import PORT, USER, server_user

SOCKET_PATH_BYTES = 100  # the operating system allows 107


def live_folder(data: Path, database: str) -> Path | None:
    """Return the folder of the socket on which the server answers, if any."""
    if not (data / "PG_VERSION").exists():
        return None
    for folder in dict.fromkeys([*_recorded_folder(data), new_folder(data)]):
        try:
            engine(folder, database).connect().close()
            return folder
        except sa.exc.OperationalError as error:
            if "connection slots" in str(error) or "too many clients" in str(error):
                return folder
    return None


def engine(folder: Path, database: str) -> sa.Engine:
    """Return an engine for short sessions, outside transactions, as the superuser."""
    query = {"host": str(folder), "port": str(PORT)}
    url = sa.URL.create("postgresql+psycopg2", username=USER, database=database, query=query)
    options = {"connect_timeout": 5, "hostaddr": "", "options": ""} | unasked()
    return sa.create_engine(
        url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", connect_args=options
    )


def unasked() -> dict[str, str]:
    """Return libpq options that undo what the environment asks of other servers."""
    return {name: value for variable, name, value in _UNASKED if os.environ.get(variable)}


# A server that trusts its socket cannot fulfil these.
_UNASKED = (
    ("PGREQUIREAUTH", "require_auth", "none"),
    ("PGCHANNELBINDING", "channel_binding", "disable"),
    ("PGGSSENCMODE", "gssencmode", "disable"),
    ("PGSSLNEGOTIATION", "sslnegotiation", "postgres"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs", "any"),
)


def new_folder(data: Path) -> Path:
    """Return the data folder, or a private one in the temporary folder if its path does not do."""
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


def _recorded_folder(data: Path) -> list[Path]:
    """Return the folder that a running server says it uses: TMPDIR may differ from ours."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return []
    folder = Path(lines[4]) if len(lines) > 4 and lines[4] else data
    uid = data.stat().st_uid
    return [_private(folder, uid)] if folder.exists() else []


def _fits(folder: Path) -> bool:
    """Whether a socket can be there; libpq splits a host at commas, and a URL is UTF-8."""
    path = os.fsencode(folder / f".s.PGSQL.{PORT}")
    try:
        is_utf8 = path.decode().encode() == str(folder / f".s.PGSQL.{PORT}").encode()
    except UnicodeError:
        return False
    return is_utf8 and len(path) < SOCKET_PATH_BYTES and b"," not in path


def _private(folder: Path, uid: int) -> Path:
    """Return the folder if only the server's user can have put a socket there."""
    found = folder.lstat()
    rights = found.st_mode & 0o777  # it may have the set-group-id bit of the folder above
    if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and rights == 0o700:
        return folder
    raise StorageError(f"{folder} is not a folder of user {uid} with mode 0700: remove it")
