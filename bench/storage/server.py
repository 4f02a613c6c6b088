"""A PostgreSQL server for the benchmark alone, in memory, and its CPU time."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import sqlalchemy as sa

from tlsearch.postgres import cluster

MEMORY = Path("/dev/shm")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_CONTROLS = ("BEGIN", "COMMIT", "ROLLBACK", "SET")
_PINGS = "SELECT 1"  # what a pool sends before it gives a connection


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        folder: of its data and its socket.
    """

    folder: Path

    def url(self, database: str = "postgres") -> str:
        """Return the libpq URL of a database."""
        where = f"host={quote(str(self.folder))}&port={cluster.PORT}"
        return f"postgresql://{cluster.USER}@/{database}?{where}"

    def execute(self, statement: str, database: str = "postgres") -> object:
        """Run one statement outside a transaction and return its first value."""
        url = self.url(database).replace("postgresql:", "postgresql+psycopg2:")
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes, with those that have ended."""
        postmaster = int((self.folder / "postmaster.pid").read_text().split()[0])
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, fields = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if pid == postmaster:
                ticks += sum(map(int, fields[11:15]))  # its own and that of ended children
            elif int(fields[1]) == postmaster:
                ticks += sum(map(int, fields[11:13]))
        return ticks / TICKS_A_SECOND

    def transactions(self, database: str) -> int:
        """Return how many transactions a database has seen; a second or so late."""
        found = self.execute(
            f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
        )
        return int(str(found))

    def log_statements(self, database: str) -> None:
        """Let the server log every statement of sessions that begin from now on."""
        self.execute(f"ALTER DATABASE {database} SET log_statement = 'all'")

    def logged(self) -> "Logged":
        """Count what was logged so far."""
        lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        texts = [line.partition("statement: ")[2] for line in lines if "statement: " in line]
        controls = sum(t.split()[0] in _CONTROLS for t in texts)
        pings = sum(t.strip(" ;") == _PINGS for t in texts)
        return Logged(len(texts) - controls - pings, controls, pings)


class Logged(NamedTuple):
    """Statements by kind: those that do something, BEGIN and the like, and the pool's pings."""

    statements: int
    controls: int
    pings: int


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server in a temporary folder; stop and remove it."""
    place = MEMORY if MEMORY.exists() else None
    folder = Path(tempfile.mkdtemp(prefix="tlsearch-bench-", dir=place))
    try:
        cluster.create_cluster(folder, "--set=max_connections=300")
        log = str(folder / "server.log")
        _pg_ctl(folder, "start", "-w", "-l", log, "-o", f"-k {folder}")
        try:
            yield Server(folder)
        finally:
            _pg_ctl(folder, "stop", "-m", "immediate", "-w")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pg_ctl(folder: Path, *args: str) -> None:
    done = cluster.run_as_server_user(folder, "pg_ctl", *args)
    if done.returncode != 0:
        raise RuntimeError(f"pg_ctl {args[0]} failed: {done.stdout}")
