"""A database of an earlier version is migrated: `tests/acceptance/test_upgrade.py` works on one."""

import hashlib

import pytest
import sqlalchemy as sa

from tests.db.conftest import ask, connect, psql, run
from tests.db.dumps.restore import restore
from tests.db.test_db_command import tlsearch
from tlsearch.errors import StorageError
from tlsearch.store import schema, sql_texts
from tlsearch.store.connect import migrate, open_storage
from tlsearch.store.measures import read_measures
from tlsearch.store.studies import find_study
from tlsearch.store.trials import trial_records

RELEASED = {
    1: "707c4efa47b695441b239b1e67590c2badfcf057077e41acc3488e88ee157354"
}  # SHA-256 of migrations that databases have already
APPLIED = "SELECT version, name, applied_by FROM tlsearch.migrations ORDER BY version"
TABLES = """
    SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,
           pg_get_expr(adbin, adrelid)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'tlsearch'::regnamespace AND relkind = 'r' AND attnum > 0
    ORDER BY 1, 2"""


@pytest.fixture
def old_url(empty_storage_url: str) -> str:
    """A database as version 0.1.0 left it: the studies `done` and `half`, see dumps/make.py."""
    restore(empty_storage_url)
    return empty_storage_url


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with connect(url).connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_migrations_are_numbered_without_gaps() -> None:
    found = sql_texts.migrations()
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    assert found[-1].version == schema.VERSION
    assert all(migration.name.startswith(f"{migration.version:04d}_") for migration in found)


def test_every_text_is_installed_or_a_migration() -> None:
    there = {str(p.relative_to(sql_texts.FOLDER)) for p in sql_texts.FOLDER.rglob("*.sql")}
    known = {f"migrations/{migration.name}.sql" for migration in sql_texts.migrations()}
    assert there == known | set(sql_texts.REPLACEABLE) | {"roles.sql"}
    assert "{" not in sql_texts.sql_text("functions/deletion.sql").replace("{}", "")


def test_a_released_migration_stays_as_it_is() -> None:
    for migration in sql_texts.migrations()[: len(RELEASED)]:
        digest = hashlib.sha256(migration.text.encode()).hexdigest()
        assert digest == RELEASED[migration.version], migration.name


def test_a_migrated_database_has_the_tables_of_a_new_one(old_url: str, storage_url: str) -> None:
    assert rows(old_url, TABLES) != rows(storage_url, TABLES)
    assert migrate(old_url) == 1
    assert rows(old_url, TABLES) == rows(storage_url, TABLES)


def test_what_was_applied_is_recorded(old_url: str, storage_url: str) -> None:
    at = ask(old_url, "SELECT installed_at FROM tlsearch.installed")
    open_storage(old_url)
    first, second, *later = rows(old_url, APPLIED)
    assert first == (1, "0001_tables", "0.1.0")
    assert second[:2] == (2, "0002_failure_kind")
    assert [row[:2] for row in later] == [(m.version, m.name) for m in sql_texts.migrations()[2:]]
    assert ask(old_url, "SELECT applied_at FROM tlsearch.migrations WHERE version = 1") == at
    new = rows(storage_url, APPLIED)
    assert [row[:2] for row in new] == [row[:2] for row in (first, second, *later)]
    assert {row[2] for row in new} == {second[2]}


def test_reasons_become_two_fields(old_url: str) -> None:
    shown = (
        "SELECT study, trial, state, val_accuracy, origin FROM tlsearch.trials_flat ORDER BY 1, 2"
    )
    before = rows(old_url, shown)
    done = tlsearch("migrate", TLSEARCH_STORAGE=old_url)
    assert done.stdout == f"The schema tlsearch is migrated from version 1 to {schema.VERSION}.\n"
    assert rows(old_url, shown) == before
    attempts = rows(
        old_url,
        "SELECT trial, attempt, ended, failure_kind, reason FROM tlsearch.trial_attempts"
        " WHERE study = 'half' AND ended NOT IN ('complete', 'pruned') ORDER BY trial, attempt",
    )
    worker_of = (
        "SELECT worker FROM tlsearch.trial_attempts WHERE study = 'half' AND attempt = 1"
        " AND trial = "
    )
    silent, preempted = ask(old_url, f"{worker_of} 4"), ask(old_url, f"{worker_of} 5")
    assert [row[:4] for row in attempts] == [
        (3, 1, "fail", "nan"),
        (4, 1, "stalled", "stalled"),
        (5, 1, "preempted", None),
        (5, 2, "preempted", None),
        (6, 1, "error", "ValueError"),
    ]
    assert [row[4] for row in attempts[:3]] == [
        "the loss is not finite in epoch 3",
        f"{silent} fell silent",
        f"SIGTERM on {preempted}",
    ]
    assert attempts[4][4] == "no such thing: x"
    storage = open_storage(old_url)
    records = trial_records(storage, find_study(storage, "half").study_id)
    assert [(r.state, r.reason_kind) for r in records[3:]] == [
        ("fail", "nan"),
        ("pruned", None),
        ("waiting", "preempted"),
        ("waiting", "ValueError"),
    ]
    assert (records[3].reason, records[6].reason) == (attempts[0][4], attempts[4][4])
    assert records[5].epochs >= 2
    assert read_measures(storage, find_study(storage, "done").study_id) is not None


def test_a_migration_may_be_repeated(old_url: str) -> None:
    everything = "SELECT * FROM tlsearch.attempts ORDER BY token"
    attrs = "SELECT trial_id, key, value_json FROM trial_user_attributes ORDER BY 1, 2"
    open_storage(old_url)
    before = rows(old_url, everything), rows(old_url, attrs)
    run(old_url, "UPDATE tlsearch.installed SET version = 0")
    open_storage(old_url)
    assert (rows(old_url, everything), rows(old_url, attrs)) == before


def test_other_programs_reasons_are_left_alone(old_url: str) -> None:
    run(
        old_url,
        "INSERT INTO studies (study_name) VALUES ('optunas own');"
        "INSERT INTO trials (number, study_id, state) SELECT 0, max(study_id), 'FAIL' FROM studies;"
        "INSERT INTO trial_user_attributes (trial_id, key, value_json)"
        " SELECT max(trial_id), 'reason', '\"nan: as I said\"' FROM trials",
    )
    open_storage(old_url)
    shown = "SELECT reason_kind, reason FROM tlsearch.trials_flat WHERE study = 'optunas own'"
    assert rows(old_url, shown) == [(None, "nan: as I said")]


def test_a_failed_migration_changes_nothing(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it done, it is as if it had not begun."""
    before = psql(old_url, "SELECT * FROM tlsearch.installed"), rows(old_url, TABLES)
    broken = sql_texts.Migration(99, "0099_broken")
    monkeypatch.setattr(schema, "migrations", lambda: (*sql_texts.migrations(), broken))
    read = sql_texts.sql_text
    monkeypatch.setattr(
        sql_texts,
        "sql_text",
        lambda name: "SELECT 1 / 0" if "broken" in name else read(name),
    )
    with pytest.raises(StorageError, match="division by zero"):
        open_storage(old_url)
    assert (psql(old_url, "SELECT * FROM tlsearch.installed"), rows(old_url, TABLES)) == before
    assert ask(old_url, "SELECT count(*) FROM tlsearch.trials_flat WHERE study = 'half'") == 7
