"""db/roles.sql: the role tlsearch_reader reads everything that it may see, and nothing else."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psycopg2
import pytest

from tests.conftest import TcpServer
from tests.db.rows import PARAMS, VIEWS, Rows, read_all
from tests.db.test_studies import ATTRS, PLAIN
from tlsearch.postgres.cluster import binary
from tlsearch.records import QueuedTrial
from tlsearch.store.connect import libpq_environment, migrate, open_storage, resolve_url
from tlsearch.store.sql_texts import sql_text
from tlsearch.store.studies import NewStudy, write_studies

FORBIDDEN = [
    "SELECT token FROM tlsearch.attempts",
    "SELECT * FROM tlsearch.attempts",
    "UPDATE tlsearch.controls SET state = 'stopped'",
    "INSERT INTO tlsearch.controls (study_id, trials) VALUES (99, 1)",
    "DELETE FROM tlsearch.best_trials",
    "DELETE FROM tlsearch.study_names",
    "UPDATE tlsearch.study_names SET study = 'b'",
    "INSERT INTO studies (study_name) VALUES ('b')",
    "UPDATE trials SET state = 'FAIL'",
    "DELETE FROM trial_values",
    "TRUNCATE trial_params",
    "CREATE TABLE tlsearch.mine (a integer)",
    "CREATE TABLE mine (a integer)",
    "DROP VIEW tlsearch.best_trials",
    "SELECT * FROM tlsearch.claim_trial(1, gen_random_uuid(), gen_random_uuid(), 0, 60, 3)",
    "SELECT tlsearch.end_trial(1, gen_random_uuid(), 'complete', 1, NULL, NULL, false, '{}', '{}',"
    " '{}', '{}')",
    "SELECT tlsearch.put_attr(1, 'origin', '0')",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY tlsearch.best_trials TO PROGRAM 'cat'",
]


def apply(url: str) -> subprocess.CompletedProcess[str]:
    """Apply db/roles.sql as an operator does."""
    return subprocess.run(
        [binary("psql"), "-f", "-"],
        input=sql_text("roles.sql"),
        capture_output=True,
        text=True,
        env=libpq_environment(resolve_url(url)),
        check=False,
    )


@pytest.fixture
def owner_url(tcp_server: TcpServer, tcp_database: str) -> Iterator[str]:
    """The database's owner, who may make roles; there is one study with one trial."""
    tcp_server.execute("ALTER ROLE tester CREATEROLE")
    url = tcp_server.url(tcp_database)
    write_studies(open_storage(url), [NewStudy("a", ATTRS, [QueuedTrial(PLAIN, "default")])])
    rows = Rows(url)
    trial_id = rows.trial(1, 1, value=0.5, params=PARAMS, curve=[0.5], origin="tpe")
    rows.attempt(1, trial_id, 1, rows.worker(), 0, 10, "complete")
    rows.session.close()
    yield url
    tcp_server.execute("DROP OWNED BY tlsearch_reader CASCADE", database=tcp_database)


@pytest.fixture
def reader_url(owner_url: str, tcp_server: TcpServer, tcp_database: str) -> str:
    """A login in the role."""
    done = apply(owner_url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    name = f"reader_{uuid.uuid4().hex}"
    tcp_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'read' IN ROLE tlsearch_reader")
    return tcp_server.url(tcp_database, name, "read")


def test_it_sees_every_view(reader_url: str) -> None:
    rows = Rows(reader_url)
    read_all(rows)
    assert rows.ask("SELECT trial, seconds FROM tlsearch.best_trials") == [(1, 10)]
    assert len(rows.ask("SELECT trial_id, ended FROM tlsearch.attempts")) == 1
    rows.session.close()


def test_it_sees_views_without_optunas_tables(
    reader_url: str, tcp_server: TcpServer, tcp_database: str
) -> None:
    revoke = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM tlsearch_reader"
    tcp_server.execute(revoke, database=tcp_database)
    with psycopg2.connect(reader_url).cursor() as cursor:
        for view in VIEWS:
            cursor.execute(f"SELECT * FROM tlsearch.{view}")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT * FROM trials")


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_it_may_not(reader_url: str, statement: str) -> None:
    session = psycopg2.connect(reader_url)
    refused = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ObjectNotInPrerequisiteState)
    with session.cursor() as cursor, pytest.raises(refused):
        cursor.execute(statement)
    session.close()


def test_it_may_be_applied_twice_and_outlasts_upgrades(reader_url: str, owner_url: str) -> None:
    assert apply(owner_url).returncode == 0
    migrate(owner_url)
    rows = Rows(reader_url)
    rows.ask("SELECT * FROM tlsearch.gpu_hours")
    owner = Rows(owner_url)
    owner.ask("DROP VIEW tlsearch.measures")  # one that is new to the upgrade
    migrate(owner_url)
    read_all(rows)
    for each in (rows, owner):
        each.session.close()


def test_the_role_of_another_database_is_not_let_in(
    reader_url: str, owner_url: str, tcp_server: TcpServer
) -> None:
    name = f"test_{uuid.uuid4().hex}"
    tcp_server.execute(f"CREATE DATABASE {name} OWNER tester")
    open_storage(tcp_server.url(name))
    user = resolve_url(reader_url).username
    assert user
    session = psycopg2.connect(tcp_server.url(name, user, "read"))
    with session.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("SELECT * FROM tlsearch.best_trials")
    tcp_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_before_there_is_a_schema(tcp_server: TcpServer, tcp_database: str) -> None:
    done = apply(tcp_server.url(tcp_database))
    assert done.returncode == 3
    assert "run `tlsearch db migrate` first" in done.stderr


def command(url: str, *args: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TLSEARCH_STORAGE": url}
    argv = [sys.executable, "-m", "tlsearch", *args]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_commands_that_read(reader_url: str) -> None:
    for args in (["status", "a"], ["best", "a"], ["status", "a", "--json"]):
        done = command(reader_url, *args)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("args", [["pause", "a"], ["budget", "a", "--trials", "9"]])
def test_commands_that_write_say_so_in_a_sentence(reader_url: str, args: list[str]) -> None:
    done = command(reader_url, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the database does not let this user do that")
    assert done.stderr.count("\n") == 1


def test_migrating_says_who_may(reader_url: str) -> None:
    done = command(reader_url, "db", "migrate")
    assert (done.returncode, done.stdout) == (2, "")
    assert "let that user run `tlsearch db migrate`" in done.stderr
    assert done.stderr.count("\n") == 1
