"""Connecting to real servers: what works, and one clear sentence for what does not."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import optuna
import pytest
import sqlalchemy as sa

from tlsearch.errors import StorageError
from tlsearch.store.connect import (
    engine_of,
    libpq_url,
    open_storage,
    place,
    resolve_url,
    shown_url,
)
from tlsearch.store.embedded import binary
from tlsearch.store.locks import create_lock, study_lock

PASSWORD = "p{a}%s:/@?# +'"
ODD = "b{0}r}{ %s ü"
URL = "postgresql://u:geheim%7B1%7D@db.invalid:5433/d"


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg", "PostgreSQL"]
)
def test_urls_that_work(scheme: str) -> None:
    url = resolve_url(f"{scheme}://u:geheim%7B1%7D@db.invalid:5433/d?sslmode=require")
    assert url.drivername == "postgresql+psycopg2"
    assert (url.username, url.password, url.host, url.port) == (
        "u",
        "geheim{1}",
        "db.invalid",
        5433,
    )
    assert libpq_url(url) == f"{URL}?sslmode=require"
    assert shown_url(url) == "postgresql://u@db.invalid:5433/d?sslmode=require"


@pytest.mark.parametrize(
    "storage",
    [
        "sqlite:///geheim.db",
        "mysql://u:geheim@h/d",
        "postgresql+asyncpg://u:geheim@h/d",
        "/tmp/geheim",
        "geheim",
        "://geheim",
        "postgresql:/geheim",
        "postgresql://u:geheim",
        "postgresql://h:geheim/d",
        "postgresql://u:1@geheim@h/d",
    ],
)
def test_urls_that_do_not(storage: str) -> None:
    with pytest.raises(StorageError, match=r"postgresql://user|%40") as caught:
        resolve_url(storage)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_which_storage(embedded_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert libpq_url(resolve_url(None)) == embedded_url
    monkeypatch.setenv("TLSEARCH_STORAGE", URL)
    assert libpq_url(resolve_url(None)) == URL
    assert libpq_url(resolve_url("postgres://other/d")) == "postgresql://other/d"
    monkeypatch.setenv("TLSEARCH_STORAGE", "")
    assert resolve_url(None).database == "tlsearch"


def test_no_password_is_shown_from_anywhere() -> None:
    url = resolve_url("postgresql://u:geheim@h/d?password=geheim&sslpassword=geheim&sslmode=prefer")
    assert shown_url(url) == "postgresql://u@h/d?sslmode=prefer"
    assert "geheim" not in place(url)


def test_psql_takes_the_url(tcp_server, tcp_database: str) -> None:
    url = libpq_url(resolve_url(tcp_server.url(tcp_database)))
    assert psql(url, "SELECT current_user, current_database()") == f"tester|{tcp_database}\n"


def psql(url: str, query: str) -> str:
    done = subprocess.run(
        [binary("psql"), url, "-Atc", query], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_braces_in_password_user_and_database(tcp_server) -> None:
    tcp_server.execute(
        f'CREATE ROLE "{ODD}" LOGIN PASSWORD $${PASSWORD}$$',
        f'CREATE DATABASE "{ODD}" OWNER "{ODD}"',
    )
    url = tcp_server.url(ODD, ODD, PASSWORD)
    storage = open_storage(url)
    study = optuna.create_study(storage=storage, study_name="s")
    assert open_storage(url).get_all_studies()[0].study_name == study.study_name
    assert psql(libpq_url(resolve_url(url)), "SELECT study_name FROM studies") == "s\n"


def test_sessions(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    engine = engine_of(open_storage(f"{storage_url}&options=-c%20work_mem%3D5MB"))
    with engine.connect() as connection:
        shown = [
            connection.execute(sa.text(f"SHOW {n}")).scalar() for n in ("TimeZone", "work_mem")
        ]
        assert shown == ["UTC", "5MB"]
        assert connection.execute(sa.text("SHOW application_name")).scalar() == "tlsearch"


def test_a_lost_connection_is_replaced(storage_url: str) -> None:
    storage = open_storage(storage_url)
    assert storage.get_all_studies() == []
    storage.remove_session()
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    )
    psql(storage_url, end + " AND pid <> pg_backend_pid()")
    assert storage.get_all_studies() == []


def test_sixteen_processes_on_an_empty_database(storage_url: str) -> None:
    code = (
        "import sys; from tlsearch.store.connect import open_storage\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(len(open_storage().get_all_studies()))"
    )
    environment = os.environ | {"TLSEARCH_STORAGE": storage_url}
    processes = [process(code, environment) for _ in range(16)]
    for started in processes:
        assert started.stdout.readline() == "ready\n"
    for started in processes:
        started.stdin.write("go\n")
        started.stdin.flush()
    assert [p.communicate(timeout=120)[0] for p in processes] == ["0\n"] * 16
    assert psql(storage_url, "SELECT count(*) FROM alembic_version") == "1\n"
    assert psql(storage_url, "SELECT count(*) FROM version_info") == "1\n"


def process(code: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_half_made_tables_are_completed(storage_url: str) -> None:
    open_storage(storage_url)
    psql(
        storage_url,
        "DELETE FROM alembic_version; DELETE FROM version_info; DROP TABLE trial_heartbeats",
    )
    open_storage(storage_url)
    assert psql(storage_url, "SELECT count(*) FROM alembic_version") == "1\n"
    assert psql(storage_url, "SELECT count(*) FROM trial_heartbeats") == "0\n"


def says(url: str) -> str:
    """What `open_storage` says: one line, no password."""
    with pytest.raises(StorageError) as caught:
        open_storage(url)
    message = str(caught.value)
    password = resolve_url(url).password
    assert "\n" not in message
    assert not password or (password not in message and quote(password) not in message)
    return message


def test_nothing_listens(tcp_server) -> None:
    message = says("postgresql://u:geheim@127.0.0.1:1/d")
    assert "'d' at 127.0.0.1:1 as user 'u' cannot be reached, nothing listens there" in message


def test_unknown_host() -> None:
    assert "at nowhere.invalid:5432" in (message := says("postgresql://u:geheim@nowhere.invalid/d"))
    assert "has an unknown host name: check" in message


def test_host_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        message = says(f"postgresql://u:geheim@127.0.0.1:{port}/d?connect_timeout=2")
    assert f"at 127.0.0.1:{port} as user 'u' cannot be reached: check the host" in message


def test_missing_socket() -> None:
    message = says("postgresql://u@/d?host=/nowhere")
    assert "at /nowhere:5432 as user 'u' has no such socket: start the server" in message


def test_wrong_password(tcp_server) -> None:
    message = says(tcp_server.url(password="geheim"))
    assert "as user 'tester' wants another password: correct it in the URL" in message
    assert f"127.0.0.1:{tcp_server.port}" in message


def test_missing_password(tcp_server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/dev/null")
    assert "wants another password" in says(f"postgresql://tester@127.0.0.1:{tcp_server.port}/x")


def test_password_in_the_environment(
    tcp_server, tcp_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", tcp_server.password)
    open_storage(f"postgresql://tester@127.0.0.1:{tcp_server.port}/{tcp_database}")


def test_no_such_database(tcp_server) -> None:
    assert "database 'none' at" in (message := says(tcp_server.url("none")))
    assert message.endswith("does not exist: correct its name or create it with createdb")


def test_no_such_user(embedded_url: str) -> None:
    message = says(embedded_url.replace("//tlsearch@", "//nobody@"))
    assert "as user 'nobody' has no such user" in message


def test_no_right_to_create_tables(tcp_server, tcp_database: str) -> None:
    tcp_server.execute("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'geheim'")
    message = says(tcp_server.url(tcp_database, "guest", "geheim"))
    assert "as user 'guest' refuses to create or use tables: let its owner run GRANT" in message


def test_no_connection_left(tcp_server, tcp_database: str) -> None:
    tcp_server.execute("DROP ROLE IF EXISTS few", "CREATE ROLE few LOGIN CONNECTION LIMIT 0")
    tcp_server.execute("ALTER ROLE few PASSWORD 'geheim'")
    message = says(tcp_server.url(tcp_database, "few", "geheim"))
    assert "as user 'few' has no free connection" in message


def test_unknown_option_in_the_url(tcp_server) -> None:
    assert 'refuses: invalid dsn: invalid connection option "foo"' in says(
        tcp_server.url() + "?foo=1"
    )


@pytest.mark.parametrize("version", ["v2.6.0.a", "v99.0.0.a"])
def test_tables_of_another_optuna(storage_url: str, version: str) -> None:
    open_storage(storage_url)
    psql(storage_url, f"UPDATE alembic_version SET version_num = '{version}'")
    psql(storage_url, "UPDATE version_info SET library_version = '3.3.0'")
    message = says(storage_url)
    assert "holds tables of Optuna 3.3.0, which Optuna 5" in message
    assert "give an empty database" in message


# Locks


@pytest.fixture
def engine(storage_url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(resolve_url(storage_url))
    yield made
    made.dispose()


@contextmanager
def other_holder(
    url: str, study_id: int = 1, timeout: float = 60
) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    holder = process(
        "import sys, sqlalchemy; from tlsearch.store.locks import study_lock\n"
        "from tlsearch.store.connect import resolve_url\n"
        f"engine = sqlalchemy.create_engine(resolve_url({url!r}))\n"
        f"with study_lock(engine, {study_id}, {timeout}):\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
    )
    assert holder.stdout.readline() == "held\n"
    yield holder
    holder.kill()
    holder.communicate()


def test_lock_keeps_others_out(engine: sa.Engine, storage_url: str) -> None:
    with other_holder(storage_url):
        with pytest.raises(StorageError, match=r"lock on study 1 was not free within 0\.2 s"):
            take(engine, 1, 0.2)
        take(engine, 2, 0.2)
    take(engine, 1)


def take(engine: sa.Engine, study_id: int, timeout: float = 60) -> None:
    with study_lock(engine, study_id, timeout):
        pass


def test_create_lock(engine: sa.Engine) -> None:
    with create_lock(engine), pytest.raises(StorageError, match="on creating tables and studies"):
        take(engine, 0, 0.2)
    take(engine, 0, 0.2)


def test_lock_of_a_killed_process_is_free(engine: sa.Engine, storage_url: str) -> None:
    with other_holder(storage_url) as holder:
        holder.kill()
        take(engine, 1)


def test_frozen_holder_does_not_block_for_ever(engine: sa.Engine, storage_url: str) -> None:
    with other_holder(storage_url, timeout=0.5) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        take(engine, 1)
        os.kill(holder.pid, signal.SIGCONT)
        holder.communicate("go on\n", timeout=60)
        assert holder.returncode == 1


def lose_session(engine: sa.Engine) -> None:
    """Wait until the server has ended the session that holds a lock."""
    wait_for(lambda: not locks_held(engine))


def locks_held(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        return int(connection.execute(sa.text(held)).scalar_one())


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("did not happen")


def test_leaving_after_the_lock_was_lost(engine: sa.Engine) -> None:
    with (
        pytest.raises(StorageError, match=r"lock on study 1 was lost: .* after 0\.2 s; try again"),
        study_lock(engine, 1, 0.2),
    ):
        lose_session(engine)
    take(engine, 1)


def test_a_failure_under_a_lost_lock_is_what_is_raised(engine: sa.Engine) -> None:
    with pytest.raises(ZeroDivisionError), study_lock(engine, 1, 0.2):
        fail_late(engine)
    take(engine, 1)


def fail_late(engine: sa.Engine) -> None:
    lose_session(engine)
    raise ZeroDivisionError


def test_a_failure_frees_the_lock(engine: sa.Engine) -> None:
    with pytest.raises(ZeroDivisionError), study_lock(engine, 1):
        raise ZeroDivisionError
    assert not locks_held(engine)


# The commands


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
        assert "postgresql://u@db.invalid/d: there is nothing of ours" in done.stdout
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


def test_importing_the_store_leaves_torch_out() -> None:
    code = (
        "import sys, tlsearch.store.connect, tlsearch.cli.db\n"
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
