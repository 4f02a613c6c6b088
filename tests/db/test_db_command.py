"""`tlsearch db`, each command in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna

from tests.conftest import free_port
from tests.db.conftest import psql
from tlsearch.store.connect import open_storage


def tlsearch(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys, typer; from tlsearch.cli.db import app; from tlsearch.errors import *\n"
        "try: app(prog_name='db')\n"
        "except TlsearchError as error: sys.exit(f'error: {error}')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def test_url_command(tcp_server, tcp_database: str, embedded_url: str) -> None:
    url = tcp_server.url(tcp_database)
    assert tlsearch("url", "--libpq").stdout == f"{embedded_url}\n"
    where = f"tester@127.0.0.1:{tcp_server.port}/{tcp_database}\n"
    assert tlsearch("url", "--libpq", TLSEARCH_STORAGE=url).stdout == f"postgresql://{where}"
    assert tlsearch("url", TLSEARCH_STORAGE=url).stdout == f"postgresql+psycopg2://{where}"
    full = tlsearch("url", "--libpq", "--show-password", "--storage", url).stdout.strip()
    assert psql(full, "SELECT 1") == "1\n"


def test_the_url_is_what_optuna_and_tlsearch_take(tcp_server, embedded_url: str) -> None:
    """Also with a user named tlsearch, whose own schema would come first, and odd characters."""
    odd = "{o} %41 'ü"
    tcp_server.execute(
        "CREATE ROLE tlsearch_like LOGIN SUPERUSER PASSWORD 'x'", f'CREATE DATABASE "{odd}"'
    )
    for storage in (embedded_url, tcp_server.url(odd, "tlsearch_like", "x")):
        created = open_storage(storage)
        name = f"seen by all {uuid.uuid4()}"
        optuna.create_study(storage=created, study_name=name)
        url = tlsearch("url", "--show-password", TLSEARCH_STORAGE=storage).stdout.strip()
        assert optuna.load_study(study_name=name, storage=url).study_name == name
        listed = program("optuna", "studies", "--storage", url)
        assert name in listed.stdout, listed.stderr
        again = tlsearch("url", "--show-password", TLSEARCH_STORAGE=url).stdout.strip()
        assert again == url
        with (
            dashboard(url) as port,
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer,
        ):
            assert name in answer.read().decode()
        tables = "SELECT schemaname FROM pg_tables WHERE tablename = 'studies'"
        assert psql(storage, tables) == "public\n"


def program(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment."""
    path = Path(sys.executable).parent / name
    return subprocess.run([path, *args], capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def dashboard(url: str) -> Iterator[int]:
    """Run Optuna's own dashboard and yield its port once it answers."""
    port = free_port()
    path = Path(sys.executable).parent / "optuna-dashboard"
    with subprocess.Popen(
        [path, url, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.2)
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield port
        finally:
            process.terminate()


def test_start_and_stop_leave_other_servers_alone() -> None:
    for command in ("start", "stop"):
        done = tlsearch(command, TLSEARCH_STORAGE="postgresql://u:geheim@db.invalid/d")
        assert (
            "postgresql://u@db.invalid/d: tlsearch starts and stops its own server" in done.stdout
        )
        assert "geheim" not in done.stdout + done.stderr


def test_start_and_stop(home) -> None:
    assert str(home) in tlsearch("start").stdout
    assert tlsearch("stop").stdout == "The embedded server is stopped.\n"
    assert tlsearch("stop").stdout == "The embedded server did not run.\n"


def test_psql_command_keeps_the_password_off_the_command_line(
    tcp_server, tcp_database: str
) -> None:
    commands = ["-At", "-c", r"\! tr '\0' ' ' </proc/$PPID/cmdline", "-c", "SELECT current_user"]
    done = tlsearch("psql", *commands, TLSEARCH_STORAGE=tcp_server.url(tcp_database))
    assert done.returncode == 0, done.stderr
    command_line, user = done.stdout.rsplit("tester", 1)[0], done.stdout[-7:]
    assert "psql -At -c" in command_line
    assert "p{a}" not in command_line
    assert "p%7Ba" not in command_line
    assert user == "tester\n"


def test_psql_command_on_the_embedded_server(embedded_url: str) -> None:
    assert tlsearch("psql", "--csv", "-tc", "SELECT 1, 2").stdout == "1,2\n"
    assert tlsearch("psql", "-tc", "SELECT wrong").returncode == 1


def test_psql_ends_quietly_in_a_closed_pipe(embedded_url: str) -> None:
    shown = tlsearch("psql", "-c", r"\! grep SigIgn /proc/self/status").stdout
    assert not int(shown.split()[1], 16) & 1 << (signal.SIGPIPE - 1)
