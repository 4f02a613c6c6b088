"""`tlsearch db`, each command in a process of its own."""

import os
import signal
import subprocess
import sys

from tests.db.conftest import psql


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
    assert tlsearch("url").stdout == f"{embedded_url}\n"
    shown = tlsearch("url", TLSEARCH_STORAGE=url).stdout
    assert shown == f"postgresql://tester@127.0.0.1:{tcp_server.port}/{tcp_database}\n"
    full = tlsearch("url", "--show-password", "--storage", url).stdout.strip()
    assert psql(full, "SELECT 1") == "1\n"


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
