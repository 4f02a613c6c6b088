"""Connecting to real servers that refuse: one clear sentence."""

import socket
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from tests.db.conftest import psql, wait_for
from tlsearch.errors import StorageError
from tlsearch.store.connect import open_storage, resolve_url
from tlsearch.store.error_messages import explained


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


def test_what_the_driver_cannot_take() -> None:
    assert "check the URL" in says("postgresql://u:geheim@h/d?plugin=x")


def test_refused_attempts_keep_no_connections(storage_url: str) -> None:
    open_storage(storage_url).engine.dispose()
    psql(storage_url, "UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    refused = []
    for _ in range(3):
        with pytest.raises(StorageError) as caught:
            open_storage(storage_url)
        refused.append(caught.value)  # as a notebook does with the last one
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    wait_for(lambda: psql(storage_url, ours) == "1\n")


def test_functions_of_another_version(storage_url: str) -> None:
    """The database is migrated while a worker is at work."""
    storage = open_storage(storage_url)
    psql(storage_url, "DROP FUNCTION tlsearch.surplus_models")
    with storage.engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError) as caught:
        connection.execute(sa.text("SELECT tlsearch.surplus_models(1, 1)"))
    assert "was migrated by another version of tlsearch" in (explained(caught.value) or "")
