"""Real PostgreSQL servers for the tests, in temporary folders.

The environment that the fixtures set up is inherited by processes that tests start. The folders
are not pytest's own: a second pytest session would close those to the server's user.
"""

import os
import random
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from tlsearch import threads
from tlsearch.postgres import cluster, embedded
from tlsearch.store.connect import open_storage

# One thread a process: tests share two cores with the processes that they start, and threads that
# wait for one another while others have their core take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
threads.spin_shortly()  # where OMP_NUM_THREADS is set to more

# A test that is not marked `gpu` is of the CPU, on any machine: figures are the same to the last
# digit there alone.
WITH_GPU = "TLSEARCH_TEST_GPU"
if os.environ.get(WITH_GPU) != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Where to put servers: in memory, if there is room, for disks of shared machines can be slow.
MEMORY = Path("/dev/shm")
ROOM = MEMORY if MEMORY.exists() and shutil.disk_usage(MEMORY).free > 4 << 30 else None

TEMPLATE = "tlsearch_template"
NO_DATABASE = ("tests/unit/", "tests/optuna_ext/")  # nor may a test here that is not marked so
SERVERS = {"embedded_url", "tcp_server", "home"}  # fixtures that start a server, or let a test
TCP_USER = "tester"
TCP_PASSWORD = "p{a}%s:/@?# +'"


@dataclass(frozen=True)
class TcpServer:
    """A server that wants a password over TCP, and trusts its socket."""

    port: int
    socket_folder: Path
    host: str = "127.0.0.1"
    user: str = TCP_USER
    password: str = TCP_PASSWORD

    def url(
        self, database: str = "postgres", user: str = TCP_USER, password: str = TCP_PASSWORD
    ) -> str:
        who = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{who}@{self.host}:{self.port}/{quote(database, safe='')}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""
        where = f"host={quote(str(self.socket_folder))}&port={self.port}"
        execute(f"postgresql://{cluster.USER}@/{database}?{where}", *statements)


def execute(url: str, *statements: str) -> None:
    """Run statements outside a transaction; a `:` in them is itself."""
    url = url.replace("postgresql:", "postgresql+psycopg2:")
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"), ())


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a folder for servers and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="tlsearch-test-", dir=ROOM))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes for `-n auto`: each has a server of its own and, with torch, 1 GB of memory.

    Twice as many as there are cores: half of the time tests wait, for other processes or for time
    to pass. `-n logical` is one a core, for tests that only compute.
    """
    cores = len(os.sched_getaffinity(0))
    return min(8, cores if config.option.numprocesses == "logical" else 2 * cores)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs PostgreSQL, which `make test-unit` leaves out; skip what needs a GPU."""
    for item in items:
        if item.get_closest_marker("gpu") and not _sees_a_gpu():
            item.add_marker(pytest.mark.skip(reason=f"no GPU, or {WITH_GPU} is not 1"))
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("database")


@cache
def _sees_a_gpu() -> bool:
    if os.environ.get(WITH_GPU) != "1":
        return False
    import torch

    return torch.cuda.is_available()


@pytest.fixture(autouse=True)
def no_server_unless_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test without a database that uses one of PostgreSQL's programs or starts a server."""
    node = request.node
    if node.get_closest_marker("database") or not node.nodeid.startswith(NO_DATABASE):
        yield
        return

    def refuse(name: str) -> None:
        pytest.fail(f"a test that is not marked `database` wants PostgreSQL's {name}")

    data, at_first = embedded.data_folder(), embedded.data_folder().exists()
    # Not the fixture monkeypatch: that would then be undone after what a test asks for later.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "binary", refuse)
        patch.setattr(embedded, "binary", refuse)
        yield
    assert data.exists() == at_first, "a test that is not marked `database` started a server"


@pytest.fixture(scope="session", autouse=True)
def private_home() -> Iterator[Path]:
    """Keep everything that tests write out of the user's folders."""
    with server_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.delenv("TLSEARCH_STORAGE", raising=False)
        for name in [name for name in os.environ if name.startswith("PG")]:
            patch.delenv(name)
        yield folder
        embedded.stop()


@pytest.fixture(scope="session", autouse=True)
def interrupts_reach_children() -> Iterator[None]:
    """Under nohup SIGINT is ignored, and children would inherit that: a handler they do not."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, lambda *_: None)
    yield
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for an embedded server of the test's own, which the test ends."""
    with server_folder() as folder:
        monkeypatch.setenv("XDG_DATA_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def embedded_url(private_home: Path) -> str:
    """URL of the session's embedded server; do not stop it."""
    return embedded.ensure_running()


@pytest.fixture(scope="session")
def template(embedded_url: str) -> str:
    """Name of a database with Optuna's tables and our schema, which nobody is connected to."""
    execute(embedded_url, f"CREATE DATABASE {TEMPLATE}")
    open_storage(in_database(embedded_url, TEMPLATE)).engine.dispose()
    return TEMPLATE


@pytest.fixture
def storage_url(embedded_url: str, template: str) -> Iterator[str]:
    """URL of a fresh database with all tables and no rows: a copy of the template."""
    with fresh_database(embedded_url, template) as url:
        yield url


@pytest.fixture
def empty_storage_url(embedded_url: str) -> Iterator[str]:
    """URL of a fresh database without any tables, for tests of their creation."""
    with fresh_database(embedded_url, "template1") as url:
        yield url


@contextmanager
def fresh_database(server_url: str, template: str) -> Iterator[str]:
    """Make a database, yield its URL, and drop it; 0.05 s with tables, where making them is 0.2."""
    name = f"test_{uuid.uuid4().hex}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield in_database(server_url, name)
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def in_database(server_url: str, name: str) -> str:
    """URL of another database of the embedded server."""
    return server_url.replace("@/tlsearch?", f"@/{name}?")


@pytest.fixture(scope="session")
def tcp_server(private_home: Path) -> Iterator[TcpServer]:
    """A server on 127.0.0.1 with password authentication."""
    folder = private_home / "tcp"
    folder.mkdir(mode=0o700)
    cluster.create_cluster(folder, "--auth-host=scram-sha-256")
    server = TcpServer(free_port(), folder)
    options = f"-h 127.0.0.1 -p {server.port} -k {folder}"
    log = str(folder / "server.log")
    done = cluster.run_as_server_user(folder, "pg_ctl", "start", "-w", "-l", log, "-o", options)
    assert done.returncode == 0, done.stdout
    password = TCP_PASSWORD.replace("'", "''")
    server.execute(f"CREATE ROLE {TCP_USER} LOGIN CREATEDB PASSWORD '{password}'")
    yield server
    cluster.run_as_server_user(folder, "pg_ctl", "stop", "-m", "immediate")


@pytest.fixture
def tcp_database(tcp_server: TcpServer) -> Iterator[str]:
    """Name of a fresh empty database that the TCP server's user owns."""
    name = f"test_{uuid.uuid4().hex}"
    tcp_server.execute(f"CREATE DATABASE {name} OWNER {TCP_USER}")
    yield name
    tcp_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection will be given."""
    for port in random.sample(range(10_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port among 100")
