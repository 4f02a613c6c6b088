"""Which database is used, and connecting to it."""

import os
import subprocess
import sys

import optuna
import pytest
import sqlalchemy as sa

from tests.db.conftest import psql, start_process
from tests.pipes import read_line, write_line
from tlsearch.errors import StorageError
from tlsearch.store.connect import (
    libpq_environment,
    libpq_url,
    open_storage,
    place,
    resolve_url,
    shown_url,
)

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
        "postgresql://u:gehe%00im@h/d",
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
    secrets = "password=geheim&sslpassword=geheim&scram_client_key=geheim&Password=geheim"
    url = resolve_url(f"postgresql://u:geheim@h/d?{secrets}&sslmode=prefer")
    assert shown_url(url) == "postgresql://u@h/d?sslmode=prefer"
    assert "geheim" not in place(url)


def test_psql_takes_the_url(tcp_server, tcp_database: str) -> None:
    url = libpq_url(resolve_url(tcp_server.url(tcp_database)))
    assert psql(url, "SELECT current_user, current_database()") == f"tester|{tcp_database}\n"


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
    engine = open_storage(f"{storage_url}&options=-c%20work_mem%3D5MB").engine
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


def test_sixteen_processes_on_an_empty_database(empty_storage_url: str) -> None:
    code = (
        "import sys; from tlsearch.store.connect import open_storage\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(len(open_storage().get_all_studies()))"
    )
    environment = os.environ | {"TLSEARCH_STORAGE": empty_storage_url}
    processes = [start_process(code, env=environment) for _ in range(16)]
    for started in processes:
        assert read_line(started) == "ready\n"
    for started in processes:
        write_line(started, "go")
    assert [p.communicate(timeout=120)[0] for p in processes] == ["0\n"] * 16
    assert psql(empty_storage_url, "SELECT count(*) FROM alembic_version") == "1\n"
    assert psql(empty_storage_url, "SELECT count(*) FROM version_info") == "1\n"


def test_half_made_tables_are_completed(storage_url: str) -> None:
    open_storage(storage_url)
    psql(
        storage_url,
        "DELETE FROM alembic_version; DELETE FROM version_info; DROP TABLE trial_heartbeats",
    )
    open_storage(storage_url)
    assert psql(storage_url, "SELECT count(*) FROM alembic_version") == "1\n"
    assert psql(storage_url, "SELECT count(*) FROM trial_heartbeats") == "0\n"


def test_password_in_the_environment(
    tcp_server, tcp_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", tcp_server.password)
    open_storage(f"postgresql://tester@127.0.0.1:{tcp_server.port}/{tcp_database}")


def test_importing_the_store_leaves_torch_out() -> None:
    code = (
        "import sys, tlsearch.store.connect, tlsearch.cli.db\n"
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_several_hosts() -> None:
    url = resolve_url("postgresql://u@/d?host=a:1&host=b:2&sslmode=prefer")
    assert libpq_url(url) == "postgresql://u@/d?host=a%2Cb&sslmode=prefer&port=1%2C2"
    environment = libpq_environment(url)
    assert (environment["PGHOST"], environment["PGPORT"]) == ("a,b", "1,2")
    assert "at a,b:1,2 as user 'u'" in place(url)
    assert "at a:7 as" in place(resolve_url("postgresql://u@/d?host=a:7"))


def test_what_is_in_the_query_wins_in_messages_too() -> None:
    url = resolve_url("postgresql://a@b:1/c?user=u&host=h&port=2&dbname=d")
    assert place(url) == "database 'd' at h:2 as user 'u'"


def test_an_address_in_the_environment_is_of_another_server(
    tcp_server, tcp_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")
    open_storage(tcp_server.url(tcp_database))
    assert "PGHOSTADDR" not in libpq_environment(resolve_url(tcp_server.url()))
    # Without a host in the URL it is that of the server.
    assert libpq_environment(resolve_url("postgresql:///d"))["PGHOSTADDR"] == "127.0.0.9"
