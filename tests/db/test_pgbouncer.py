"""Workers through pgbouncer in transaction mode, as docs/deploy.md describes it."""

import pwd
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.acceptance.crashes import Server
from tests.conftest import execute, free_port, server_folder
from tests.db.claiming import fresh, make_study, rows, worker_on
from tests.db.conftest import wait_for
from tlsearch.errors import StorageError
from tlsearch.postgres import sockets
from tlsearch.store.claims import Claim, Curve
from tlsearch.store.connect import open_storage

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
pytestmark = pytest.mark.skipif(
    PGBOUNCER is None, reason="needs pgbouncer (apt-get install pgbouncer)"
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "deploy.md"
CONNECTIONS = 4
WORKERS = 16
TRIALS = 100


@pytest.fixture
def pooled_url():
    """A database behind a pgbouncer that holds few connections to it."""
    with server_folder() as folder:
        folder.chmod(0o755)
        server = Server.create(folder / "server")
        server.start()
        url = server.create_database("pooled")
        statements = re.findall(r"ALTER DATABASE .*?;", DOCUMENT.read_text())
        execute(url, *(each.replace("DATABASE tlsearch", "DATABASE pooled") for each in statements))
        port = free_port()
        process = _start(folder, server, port)
        try:
            pooled = f"postgresql://tlsearch@127.0.0.1:{port}/pooled"
            wait_for(lambda: _answers(pooled))
            yield pooled
        finally:
            process.kill()
            process.wait()
            server.end()


def _start(folder, server, port):
    settings = folder / "pgbouncer.ini"
    documented = re.search(r"\[pgbouncer\]\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert documented is not None
    socket = sockets.new_folder(server.folder)
    settings.write_text(
        f"[databases]\npooled = host={socket} port=5432 user=tlsearch\n"
        f"[pgbouncer]\n{documented[1]}\n"
        f"default_pool_size = {CONNECTIONS}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\n"
        f"user = {pwd.getpwuid(server.folder.stat().st_uid).pw_name}\n"
    )
    settings.chmod(0o644)
    assert PGBOUNCER is not None
    with (folder / "pgbouncer.log").open("w") as log:
        return subprocess.Popen([PGBOUNCER, str(settings)], stdout=log, stderr=log)


def _answers(url):
    try:
        open_storage(url)
    except StorageError:
        return False
    return True


def test_many_workers_on_few_connections(pooled_url):
    storage = open_storage(pooled_url)
    make_study(storage, trials=TRIALS)
    workers = [worker_on(pooled_url) for _ in range(WORKERS)]

    def work(worker):
        while isinstance(held := worker.claim(fresh()), Claim):
            for epoch in range(1, 6):
                worker.report(held, Curve([epoch], [epoch / 10]))
            worker.complete(held, 0.5, Curve())

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert rows(storage, "SELECT state::text, count(*) FROM trials GROUP BY 1") == [
        ("COMPLETE", TRIALS)
    ]
    assert rows(storage, "SELECT count(*) FROM tlsearch.attempts") == [(TRIALS,)]
    assert rows(storage, "SELECT count(*) FROM trial_intermediate_values") == [(5 * TRIALS,)]
    (open_now,) = rows(
        storage, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    )
    assert open_now[0] <= CONNECTIONS
