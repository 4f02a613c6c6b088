"""Which errors of a real server mean that it is away for a while, and how long we wait then."""

import threading
import time
import uuid

import optuna
import pytest
import sqlalchemy as sa

from tests.conftest import execute
from tlsearch.errors import DatabaseAway, StorageError
from tlsearch.store.causes import cause_of
from tlsearch.store.connect import open_storage
from tlsearch.store.outages import DATABASE_ERRORS, RetryPolicy, is_outage, within


def engine_of(url, **more):
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg2:"), **more)


def error_of(url, *statements, **more):
    """What the last of these statements raises."""
    engine = engine_of(url, poolclass=sa.NullPool, **more)
    *before, last = statements or ("SELECT 1",)
    try:
        with engine.connect() as connection:
            for statement in before:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql(last)
    except DATABASE_ERRORS as error:
        return error
    return pytest.fail("nothing was raised")


@pytest.fixture
def tcp_url(tcp_server, tcp_database):
    return tcp_server.url(tcp_database)


def test_a_refused_connection():
    error = error_of("postgresql://u:p@127.0.0.1:1/d")
    assert is_outage(error)
    assert "Connection refused" in cause_of(error)
    assert "\n" not in cause_of(error)


def test_no_such_socket(tmp_path):
    assert is_outage(error_of(f"postgresql://u@/d?host={tmp_path}"))


def test_an_unknown_host():
    assert is_outage(error_of("postgresql://u@no-such-host.invalid/d")), "the DNS may be away"


@pytest.mark.parametrize("end", ["pg_terminate_backend(pg_backend_pid())", "pg_sleep(60)"])
def test_a_terminated_backend(storage_url, end):
    timer = threading.Timer(0.5, execute, (storage_url, TERMINATE_SLEEPERS))
    timer.start()
    error = error_of(storage_url, f"SELECT {end}")
    timer.join()
    assert is_outage(error)


TERMINATE_SLEEPERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
)


def test_a_connection_of_the_pool_that_broke_meanwhile(storage_url):
    engine = engine_of(storage_url)
    with engine.connect() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    execute(storage_url, f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(sa.exc.DBAPIError) as raised, engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert is_outage(raised.value)


def test_no_connection_of_the_pool_is_free(storage_url):
    engine = engine_of(storage_url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with engine.connect(), pytest.raises(sa.exc.TimeoutError) as raised, engine.connect():
        pass
    assert is_outage(raised.value)


def test_a_server_that_is_full(tcp_server, tcp_url):
    tcp_server.execute("ALTER ROLE tester CONNECTION LIMIT 1")
    try:
        with engine_of(tcp_url).connect():
            assert is_outage(error_of(tcp_url))
    finally:
        tcp_server.execute("ALTER ROLE tester CONNECTION LIMIT -1")


def test_a_database_that_takes_no_connections_for_now(tcp_server, tcp_database, tcp_url):
    tcp_server.execute(f"ALTER DATABASE {tcp_database} ALLOW_CONNECTIONS false")
    assert is_outage(error_of(tcp_url))


def test_a_standby(storage_url):
    error = error_of(storage_url, "SET transaction_read_only = on", "CREATE TABLE t ()")
    assert is_outage(error), "it may be promoted"


def test_waiting_for_a_lock_for_too_long(storage_url):
    """A worker may try again; another one that works holds the lock."""
    with engine_of(storage_url).begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
        waits = "SELECT pg_advisory_xact_lock(1)"
        assert is_outage(error_of(storage_url, "SET lock_timeout = 100", waits))
        assert is_outage(error_of(storage_url, "SET statement_timeout = 100", waits))


def test_a_deadlock(storage_url):
    execute(storage_url, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1), (2)")
    errors = []

    def lock(first, second, met):
        try:
            with engine_of(storage_url).begin() as connection:
                connection.exec_driver_sql(f"UPDATE t SET id = id WHERE id = {first}")
                met.wait()
                connection.exec_driver_sql(f"UPDATE t SET id = id WHERE id = {second}")
        except sa.exc.DBAPIError as error:
            errors.append(error)

    met = threading.Barrier(2)
    threads = [threading.Thread(target=lock, args=(*order, met)) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = errors
    assert is_outage(error)
    assert cause_of(error) == "deadlock detected"


def test_what_waiting_does_not_fix(tcp_server, tcp_database, tcp_url):
    for wrong in (
        tcp_server.url(tcp_database, password="wrong"),
        tcp_server.url(tcp_database, user="nobody_here"),
        tcp_server.url("no_such_database"),
    ):
        assert not is_outage(error_of(wrong)), wrong
    tcp_server.execute(f"REVOKE CONNECT ON DATABASE {tcp_database} FROM PUBLIC, tester")
    tcp_server.execute(f"ALTER DATABASE {tcp_database} OWNER TO CURRENT_USER")
    assert not is_outage(error_of(tcp_url)), "no right to connect"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM no_such_table",
        "SELEKT 1",
        "SELECT 1 / 0",
        "SELECT 'x'::int",
        "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$",
    ],
)
def test_what_the_server_refuses(storage_url, statement):
    assert not is_outage(error_of(storage_url, statement))


def test_permission_denied(storage_url):
    execute(storage_url, "CREATE TABLE public.secret ()")
    role = f"reader_{uuid.uuid4().hex}"
    execute(storage_url, f"CREATE ROLE {role}")
    try:
        denied = error_of(storage_url, f"SET ROLE {role}", "SELECT * FROM public.secret")
    finally:
        execute(storage_url, f"DROP ROLE {role}")
    assert "permission denied" in cause_of(denied)
    assert not is_outage(denied)


def test_optunas_own_errors(storage_url):
    """Optuna wraps what SQLAlchemy raises, which wraps what psycopg2 raises."""
    storage = open_storage(storage_url)
    execute(storage_url, "ALTER TABLE studies RENAME TO gone")
    with pytest.raises(optuna.exceptions.StorageInternalError) as raised:
        storage.get_all_studies()
    assert not is_outage(raised.value)
    execute(storage_url, "ALTER TABLE gone RENAME TO studies")
    database = storage.engine.url.database
    other = storage_url.replace(f"/{database}", "/postgres")
    execute(other, f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    execute(other, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   f" WHERE datname = '{database}'")  # fmt: skip
    with pytest.raises(optuna.exceptions.StorageInternalError) as raised:
        storage.get_all_studies()
    assert is_outage(raised.value)
    execute(other, f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")


@pytest.mark.parametrize("error", [KeyError("x"), StorageError("x"), RuntimeError("x")])
def test_errors_of_no_database(error):
    assert not is_outage(error)


class TestRetryPolicy:
    """It waits for a server that refuses connections until the server is there."""

    @staticmethod
    def fails(n_times):
        """An action that cannot reach a database so many times."""
        tried = []

        def action():
            tried.append(time.monotonic())
            if len(tried) > n_times:
                return len(tried)
            with engine_of("postgresql://u:p@127.0.0.1:1/d").connect():
                return None

        return action

    def test_it_waits_until_the_database_is_back(self):
        told = []
        policy = RetryPolicy(60, on_wait=lambda *news: told.append(news))
        assert policy.call(self.fails(3)) == 4
        assert len(told) == 3
        assert all("Connection refused" in why for _, why in told)
        assert [away for away, _ in told] == sorted(away for away, _ in told)

    def test_it_gives_up_at_its_limit(self):
        with pytest.raises(DatabaseAway, match=r"out of reach for 1 s \(.*Connection refused"):
            RetryPolicy(0.8).call(self.fails(1000))

    def test_it_gives_up_when_it_is_told_to(self):
        over = threading.Event()
        told: list[str] = []

        def on_wait(away: float, why: str) -> None:
            told.append(why)
            over.set()

        policy = RetryPolicy(3600, over, on_wait)
        with pytest.raises(DatabaseAway, match="out of reach for 0 s"):
            policy.call(self.fails(1000))
        assert len(told) == 1
        assert policy.call(lambda: "answer") == "answer", "where nothing is to be waited for"

    def test_it_waits_for_nothing_else(self, storage_url):
        tried = []

        def refused():
            tried.append(1)
            raise error_of(storage_url, "SELECT * FROM no_such_table")

        with pytest.raises(sa.exc.ProgrammingError):
            RetryPolicy(3600).call(refused)
        with pytest.raises(KeyError):
            RetryPolicy(3600).call(missing_key)
        assert len(tried) == 1


def missing_key():
    raise KeyError("x")


class TestWithin:
    def test_it_passes_on_what_happens(self):
        assert within(60, lambda: 3) == 3
        with pytest.raises(KeyError):
            within(60, missing_key)

    def test_it_does_not_wait_for_an_answer_that_does_not_come(self):
        never = threading.Event()
        with pytest.raises(DatabaseAway, match="has not answered"):
            within(0.1, never.wait)
        never.set()
