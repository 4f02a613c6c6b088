"""tlsearch's own schema: installed once by the first that comes, replaced when it is older."""

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator

import optuna
import pytest
import sqlalchemy as sa

from tests.conftest import TcpServer, execute
from tests.db.conftest import ask, connect, psql, run, start_process
from tests.db.test_db_command import tlsearch
from tests.pipes import read_line, write_line
from tlsearch.errors import StorageError
from tlsearch.postgres.cluster import binary
from tlsearch.store import schema, sql_texts
from tlsearch.store.connect import migrate, open_storage, resolve_url

OPEN = (
    "import sys; from tlsearch.store.connect import open_storage\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "print(len(open_storage().get_all_studies()))"
)
SHAPE = """
    SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), true
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', tablename, indexname, indexdef, true
    FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, '', true
    FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2, 3"""


@pytest.fixture
def storage_url(empty_storage_url: str) -> str:
    """Every test here begins with a database without tables."""
    return empty_storage_url


@pytest.fixture
def engine(storage_url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(resolve_url(storage_url), poolclass=sa.NullPool)
    yield made
    made.dispose()


@pytest.fixture
def poor_user(tcp_server: TcpServer) -> str:
    """A user without any rights; what it owns in the databases is gone with them."""
    name = f"poor_{uuid.uuid4().hex}"
    tcp_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'poor'")
    return name


def installed(url: str) -> str:
    return psql(url, "SELECT version, optuna_schema FROM tlsearch.installed").strip()


def race(url: str, n: int) -> list[str]:
    environment = os.environ | {"TLSEARCH_STORAGE": url}
    processes = [start_process(OPEN, env=environment) for _ in range(n)]
    for process in processes:
        assert read_line(process) == "ready\n"
    for process in processes:
        write_line(process, "go")
    return [process.communicate(timeout=120)[0] for process in processes]


def test_opening_installs_once(storage_url: str, engine: sa.Engine) -> None:
    assert schema.installed_version(engine) is None
    open_storage(storage_url)
    assert schema.installed_version(engine) == schema.VERSION
    at = ask(storage_url, "SELECT installed_at FROM tlsearch.installed")
    open_storage(storage_url)
    assert ask(storage_url, "SELECT installed_at FROM tlsearch.installed") == at


def test_eight_processes_on_an_empty_database(storage_url: str) -> None:
    assert race(storage_url, 8) == ["0\n"] * 8
    assert installed(storage_url) == f"{schema.VERSION}|public"


def test_eight_processes_on_an_older_version(storage_url: str) -> None:
    open_storage(storage_url)
    run(storage_url, "UPDATE tlsearch.installed SET version = 0")
    assert race(storage_url, 8) == ["0\n"] * 8
    assert installed(storage_url) == f"{schema.VERSION}|public"


def test_optunas_tables_are_as_optuna_makes_them(storage_url: str, engine: sa.Engine) -> None:
    optuna.storages.RDBStorage(str(engine.url)).engine.dispose()
    before = psql(storage_url, SHAPE)
    assert "trials" in before
    open_storage(storage_url)
    assert psql(storage_url, SHAPE) == before


@pytest.mark.parametrize(
    "older",
    [
        "UPDATE tlsearch.installed SET version = 0",
        "UPDATE tlsearch.installed SET sql_sha256 = 'other texts'",
        "ALTER TABLE tlsearch.installed DROP COLUMN sql_sha256; DROP TABLE tlsearch.installed",
    ],
)
def test_what_is_older_is_replaced_and_rows_are_kept(storage_url: str, older: str) -> None:
    study = optuna.create_study(storage=open_storage(storage_url))
    run(
        storage_url,
        f"INSERT INTO tlsearch.controls (study_id, trials) VALUES ({study._study_id}, 1)",
    )
    run(
        storage_url,
        "DROP FUNCTION tlsearch.utc_now(); DROP VIEW tlsearch.best_trials CASCADE;"
        "CREATE FUNCTION tlsearch.utc_now() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
        "CREATE VIEW tlsearch.best_trials AS SELECT 1 AS one;"
        f"{older}",
    )
    open_storage(storage_url)
    assert ask(storage_url, "SELECT count(val_accuracy) FROM tlsearch.best_trials") == 0
    assert ask(storage_url, "SELECT tlsearch.utc_now() > '2020-01-01'") is True
    assert ask(storage_url, "SELECT count(*) FROM tlsearch.controls") == 1
    assert installed(storage_url) == f"{schema.VERSION}|public"


def test_a_newer_version_is_refused(storage_url: str) -> None:
    open_storage(storage_url)
    run(storage_url, "UPDATE tlsearch.installed SET version = 9")
    for action in (open_storage, migrate):
        with pytest.raises(StorageError, match=r"migrated by a newer tlsearch .* version 9, "):
            action(storage_url)
    assert installed(storage_url) == "9|public"


def test_a_failed_installation_changes_nothing(
    storage_url: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_storage(storage_url)
    views = psql(storage_url, "SELECT viewname FROM pg_views WHERE schemaname = 'tlsearch'")
    texts = {name: sql_texts.sql_text(name) for name in sql_texts.REPLACEABLE}
    texts["views/trials.sql"] += "; SELECT 1 / 0"
    monkeypatch.setattr(schema, "sql_text", texts.__getitem__)
    with pytest.raises(sa.exc.DBAPIError):
        schema.install(engine)
    shown = psql(storage_url, "SELECT viewname FROM pg_views WHERE schemaname = 'tlsearch'")
    assert shown == views


def test_optunas_tables_in_another_schema(storage_url: str) -> None:
    run(storage_url, 'CREATE SCHEMA "my tables"')
    url = f"{storage_url}&options=-c%20search_path%3D%22my%5C%20tables%22"
    study = optuna.create_study(storage=open_storage(url), study_name="s", direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("high_lr", 0.0, 1.0), n_trials=2)
    assert installed(storage_url) == f'{schema.VERSION}|"my tables"'
    # A session that does not know of the schema can ask the views.
    assert ask(storage_url, "SELECT count(*) FROM tlsearch.best_trials") == 2
    assert ask(url, f"SELECT tlsearch.trials_without_gain({study._study_id})") in (0, 1)
    with pytest.raises(StorageError, match=r'studies in schema "my tables", .* looks in public'):
        open_storage(storage_url)


def test_nothing_stands_before_optunas_tables(storage_url: str) -> None:
    """A user called tlsearch has the schema tlsearch first in its search_path."""
    storage = open_storage(storage_url)
    tables = set(sa.inspect(storage.engine).get_table_names("public"))
    assert {"studies", "trials"} <= tables
    ours = sa.inspect(storage.engine)
    assert not tables & {*ours.get_table_names("tlsearch"), *ours.get_view_names("tlsearch")}
    run(storage_url, "DELETE FROM public.alembic_version; DROP TABLE public.trial_heartbeats")
    open_storage(storage_url)
    assert ask(storage_url, "SELECT count(*) FROM public.trial_heartbeats") == 0


def test_after_optunas_tables_were_dropped(storage_url: str) -> None:
    study = optuna.create_study(storage=open_storage(storage_url))
    run(
        storage_url,
        f"INSERT INTO tlsearch.controls (study_id, trials) VALUES ({study._study_id}, 1)",
    )
    run(storage_url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    assert open_storage(storage_url).get_all_studies() == []
    assert ask(storage_url, "SELECT count(*) FROM tlsearch.controls") == 0
    assert ask(storage_url, "SELECT count(*) FROM tlsearch.best_trials") == 0


def test_what_users_made_is_not_dropped(storage_url: str) -> None:
    open_storage(storage_url)
    # Where the user is called tlsearch, as on the embedded server, these are in schema tlsearch.
    run(storage_url, "CREATE VIEW of_mine AS SELECT 1; CREATE TABLE notes (a integer)")
    migrate(storage_url)
    assert ask(storage_url, "SELECT count(*) FROM of_mine") == 1
    run(storage_url, "CREATE VIEW mine AS SELECT * FROM tlsearch.best_trials")
    run(storage_url, "UPDATE tlsearch.installed SET sql_sha256 = ''")
    with pytest.raises(StorageError, match=r"views of yours .* `tlsearch db migrate`"):
        open_storage(storage_url)
    run(storage_url, "DROP VIEW mine")
    open_storage(storage_url)


def test_what_was_granted_is_granted_again(tcp_server, tcp_database: str, poor_user: str) -> None:
    url = tcp_server.url(tcp_database)
    open_storage(url)
    grants = f"GRANT SELECT ON tlsearch.best_trials TO {poor_user}, PUBLIC"
    tcp_server.execute(grants, database=tcp_database)
    shown = "SELECT relacl FROM pg_class WHERE oid = 'tlsearch.best_trials'::regclass"
    before = ask(url, shown)
    assert poor_user in str(before)
    migrate(url)
    assert ask(url, shown) == before


def test_installing_while_others_ask(storage_url: str, engine: sa.Engine) -> None:
    open_storage(storage_url)
    over, asked, errors = threading.Event(), [], []

    def ask_on() -> None:
        with connect(storage_url).connect() as connection:
            while not over.is_set():
                try:
                    for view in ("study_overview", "best_trials", "gpu_hours"):
                        connection.execute(sa.text(f"SELECT * FROM tlsearch.{view}")).all()
                    connection.execute(sa.text("SELECT * FROM tlsearch.refusal(1, 0)")).all()
                except sa.exc.DBAPIError as error:
                    errors.append(error)
                asked.append(1)

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        schema.install(engine)
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(asked) > 15


def test_a_session_that_keeps_a_view_locked(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_storage(storage_url)
    monkeypatch.setattr(schema, "_BUSY_SECONDS", 0.5)
    with connect(storage_url).execution_options(isolation_level="READ COMMITTED").begin() as other:
        other.execute(sa.text("SELECT * FROM tlsearch.best_trials"))
        with pytest.raises(StorageError, match="has a session that keeps tlsearch's views"):
            migrate(storage_url)
    migrate(storage_url)


def test_a_dump_can_be_restored(storage_url: str, embedded_url: str) -> None:
    study = optuna.create_study(storage=open_storage(storage_url), study_name="s")
    study.optimize(lambda trial: trial.suggest_float("high_lr", 0.0, 1.0), n_trials=2)
    dumped = subprocess.run([binary("pg_dump"), storage_url], capture_output=True, check=True)
    name = f"test_{uuid.uuid4().hex}"
    execute(embedded_url, f"CREATE DATABASE {name}")
    url = embedded_url.replace("@/tlsearch?", f"@/{name}?")
    options = ["-q", "-v", "ON_ERROR_STOP=1"]
    subprocess.run([binary("psql"), url, *options], input=dumped.stdout, check=True)
    assert ask(url, "SELECT count(high_lr) FROM tlsearch.best_trials") == 2
    at = ask(url, "SELECT installed_at FROM tlsearch.installed")
    assert len(open_storage(url).get_all_studies()) == 1
    assert ask(url, "SELECT installed_at FROM tlsearch.installed") == at, "nothing to be done"
    execute(embedded_url, f"DROP DATABASE {name} WITH (FORCE)")


class TestRights:
    def test_a_user_who_may_not_create_schemas(
        self, tcp_server, tcp_database: str, poor_user: str
    ) -> None:
        url = tcp_server.url(tcp_database, poor_user, "poor")
        tcp_server.execute(f"GRANT ALL ON SCHEMA public TO {poor_user}", database=tcp_database)
        with pytest.raises(StorageError, match="let its owner run GRANT CREATE ON DATABASE, or"):
            open_storage(url)
        tcp_server.execute(
            f"CREATE SCHEMA tlsearch AUTHORIZATION {poor_user}", database=tcp_database
        )
        open_storage(url)
        assert ask(url, "SELECT count(*) FROM tlsearch.best_trials") == 0

    def test_a_user_without_any_rights(self, tcp_server, tcp_database: str, poor_user: str) -> None:
        open_storage(tcp_server.url(tcp_database))
        with pytest.raises(StorageError, match="makes a role, tlsearch_reader, that may read"):
            open_storage(tcp_server.url(tcp_database, poor_user, "poor"))

    def test_an_older_version_of_another_users(
        self, tcp_server, tcp_database: str, poor_user: str
    ) -> None:
        open_storage(tcp_server.url(tcp_database))
        url = tcp_server.url(tcp_database, poor_user, "poor")
        tcp_server.execute(
            f"GRANT USAGE ON SCHEMA public, tlsearch TO {poor_user}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public, tlsearch TO {poor_user}",
            "UPDATE tlsearch.installed SET sql_sha256 = ''",
            database=tcp_database,
        )
        assert open_storage(url).get_all_studies() == [], "of the same version: good enough"
        tcp_server.execute("UPDATE tlsearch.installed SET version = 0", database=tcp_database)
        with pytest.raises(StorageError, match="let that user run `tlsearch db migrate`"):
            open_storage(url)

    def test_a_read_only_session(self, storage_url: str) -> None:
        open_storage(storage_url)
        url = f"{storage_url}&options=-c%20default_transaction_read_only%3Don"
        assert open_storage(url).get_all_studies() == []


def test_the_check_is_one_query(storage_url: str, engine: sa.Engine) -> None:
    open_storage(storage_url)
    seen = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    assert schema.is_current(engine)
    assert len([text for text in seen if "tlsearch" in text]) == 1


class TestCommand:
    def test_migrate(self, storage_url: str) -> None:
        def words(*args: str) -> str:
            return tlsearch("migrate", *args, TLSEARCH_STORAGE=storage_url).stdout

        assert words() == f"The schema tlsearch is installed, version {schema.VERSION}.\n"
        assert "is installed afresh" in words()
        run(storage_url, "UPDATE tlsearch.installed SET version = 0")
        assert json.loads(words("--json")) == {"from": 0, "to": schema.VERSION}
        run(storage_url, "UPDATE tlsearch.installed SET version = 0")
        assert f"migrated from version 0 to {schema.VERSION}" in words()
        run(storage_url, "DROP VIEW tlsearch.best_trials CASCADE")
        words()
        assert ask(storage_url, "SELECT count(*) FROM tlsearch.best_trials") == 0

    def test_migrate_refuses_in_one_sentence(self, storage_url: str) -> None:
        open_storage(storage_url)
        run(storage_url, "UPDATE tlsearch.installed SET version = 9")
        done = tlsearch("migrate", TLSEARCH_STORAGE=storage_url)
        assert done.returncode == 1  # 2 in `tlsearch`: its main() does that
        assert done.stderr.count("\n") == 1
        assert "newer tlsearch" in done.stderr
