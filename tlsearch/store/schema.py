"""tlsearch's own tables, functions and views in the database, in the schema `tlsearch`.

They are SQL texts that lie in `db/` and are installed beside Optuna's tables, which they read and
write but never alter.
"""

import hashlib
import random
import time
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from tlsearch.errors import StorageError
from tlsearch.store.controls import sweep

VERSION = 1  # of the tables and functions; raise it with every release that changes them
FILES = ("tables.sql", "trials.sql", "views.sql", "overviews.sql")

_PATIENCE_SECONDS = 20  # with sessions that read a view which is to be replaced
_BUSY = ("55P03", "40P01")  # SQLSTATE: a lock was not free in time, deadlock
# Who waits for a lock gives up before PostgreSQL looks for deadlocks, which would end the others.
_SETTINGS = ("lock_timeout = '400ms'", "statement_timeout = 0", "client_min_messages = warning")
_MISSING = ("42P01", "42703", "3F000")  # SQLSTATE: no such table, column, schema
_FORBIDDEN = ("42501", "25006")  # SQLSTATE: permission denied, read-only transaction


class Installed(NamedTuple):
    """What the database says of itself.

    Attributes:
        version: of the schema.
        sql_sha256: of the texts it was installed from.
        for_tables_in: the schema of the Optuna tables it belongs to.
        tables_in: the schema where this session finds, or would create, Optuna's tables.
        objects: its views and functions.
        complete: whether its views are there: dropping Optuna's tables takes them along.
    """

    version: int
    sql_sha256: str
    for_tables_in: str
    tables_in: str
    objects: list[str]
    complete: bool


def installed_version(engine: sa.Engine) -> int | None:
    """Return the version of the schema in the database, or None where there is none."""
    found = _installed(engine)
    return None if found is None else found.version


def is_current(engine: sa.Engine) -> bool:
    """Whether nothing is to be installed; one query.

    Raises:
        StorageError: a newer tlsearch migrated the database, or other Optuna tables use it.
    """
    found = _installed(engine)
    if found is None:
        return False
    if found.version > VERSION:
        raise StorageError(
            f"this database was migrated by a newer tlsearch (its schema is of version "
            f"{found.version}, this tlsearch knows {VERSION}): install that tlsearch here as well"
        )
    if found.tables_in != found.for_tables_in and found.complete:
        raise StorageError(
            f"the schema tlsearch in this database belongs to the studies in schema "
            f"{found.for_tables_in}, but this session looks in {found.tables_in}: set search_path "
            f"to {found.for_tables_in}, or use a database of its own"
        )
    return found.version == VERSION and found.sql_sha256 == _digest() and found.complete


def install(engine: sa.Engine) -> None:
    """Install or replace the schema, all or nothing; keeps what is in its tables.

    Views and functions are dropped first, as their columns and arguments may have changed; those
    that a user made beside them are left alone. Call it under the lock for creating tables, when
    Optuna's tables are there.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _install_once(engine)
        except sa.exc.DBAPIError as error:
            busy = getattr(error.orig, "pgcode", None) in _BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.1, 0.5))


def install_if_allowed(engine: sa.Engine) -> None:
    """Install the schema; a role that may only read goes on with one of the same version."""
    try:
        install(engine)
    except sa.exc.DBAPIError as error:
        found = _installed(engine)
        usable = found is not None and found.complete and found.version == VERSION
        if not usable or getattr(error.orig, "pgcode", None) not in _FORBIDDEN:
            raise


def sql_text(name: str) -> str:
    """Return one of the SQL texts: from the installed package, or from a checkout."""
    package = Path(__file__).resolve().parent.parent
    for path in (package / "sql" / name, package.parent / "db" / name):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise StorageError(f"{package}: sql/{name} is missing; install tlsearch again")


def _install_once(engine: sa.Engine) -> None:
    found = _installed(engine)
    ours = None if found is None else found.objects  # None: whatever is there
    with engine.begin() as connection:
        for setting in _SETTINGS:
            connection.execute(sa.text(f"SET LOCAL {setting}"))
        grants = list(connection.execute(_GRANTS).scalars())
        for drop in list(connection.execute(_DROPS, {"ours": ours}).scalars()):
            _run(connection, drop)
        theirs = set(connection.execute(_OBJECTS).scalars())
        for name in FILES:
            _run(connection, sql_text(name))
        for grant in grants:
            _run(connection, grant)
        made = sorted(set(connection.execute(_OBJECTS).scalars()) - theirs)
        values = {"version": VERSION, "sql_sha256": _digest(), "objects": made}
        connection.execute(_WRITE, values)
        sweep(connection)  # all rows where Optuna's tables were dropped and count from 1 again


def _digest() -> str:
    texts = "\0".join(map(sql_text, FILES))
    return hashlib.sha256(texts.encode()).hexdigest()


def _installed(engine: sa.Engine) -> Installed | None:
    with engine.connect() as connection:
        try:
            row = connection.execute(_READ).one_or_none()
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "pgcode", None) not in _MISSING:
                raise
            return None
    return None if row is None else Installed(*row)


def _run(connection: sa.Connection, text: str) -> None:
    """Run SQL as it is: any number of statements, in which `%` and `:` are themselves."""
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})


_TABLES_IN = (
    "coalesce((SELECT relnamespace::regnamespace::text FROM pg_class"
    " WHERE oid = to_regclass('trials')), current_schema()::text)"
)
_READ = sa.text(
    f"SELECT version, sql_sha256, optuna_schema, {_TABLES_IN}, objects,"
    " to_regclass('tlsearch.best_trials') IS NOT NULL FROM tlsearch.installed"
)
_WRITE = sa.text(
    "INSERT INTO tlsearch.installed (version, sql_sha256, optuna_schema, objects)"
    f" VALUES (:version, :sql_sha256, {_TABLES_IN}, :objects)"
    " ON CONFLICT (one) DO UPDATE SET version = excluded.version,"
    " sql_sha256 = excluded.sql_sha256, optuna_schema = excluded.optuna_schema,"
    " objects = excluded.objects, installed_at = now()"
)
_VIEWS = (
    "SELECT oid, format('tlsearch.%I', relname) AS name, 'VIEW' AS kind FROM pg_class"
    " WHERE relnamespace = to_regnamespace('tlsearch') AND relkind = 'v'"
)
_FUNCTIONS = (
    "SELECT oid, format('tlsearch.%I(%s)', proname, pg_get_function_identity_arguments(oid)),"
    " 'FUNCTION' FROM pg_proc WHERE pronamespace = to_regnamespace('tlsearch') AND prokind = 'f'"
)
_OBJECTS = sa.text(f"SELECT name FROM ({_VIEWS} UNION ALL {_FUNCTIONS}) AS there")
# One statement for all views, as they use one another, those first that stand on others, in which
# order queries lock them too; then one for all functions.
_DROPS = sa.text(
    f"SELECT format('DROP %s %s', kind, string_agg(name, ', ' ORDER BY oid DESC)) FROM"
    f" ({_VIEWS} UNION ALL {_FUNCTIONS}) AS there"
    " WHERE CAST(:ours AS text[]) IS NULL OR name = ANY(CAST(:ours AS text[]))"
    " GROUP BY kind ORDER BY kind DESC"
)
# What was granted on views by hand is granted again, where the view and the role are still there.
_GRANTS = sa.text(
    "SELECT format('DO $tl$ BEGIN GRANT %s ON %s TO %s;"
    " EXCEPTION WHEN undefined_table THEN NULL; END $tl$', privilege_type,"
    " format('tlsearch.%I', relname),"
    " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)"
    " FROM pg_class AS view CROSS JOIN LATERAL aclexplode(relacl)"
    " WHERE relnamespace = to_regnamespace('tlsearch') AND relkind = 'v' AND grantee <> relowner"
)
