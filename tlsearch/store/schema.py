"""tlsearch's own tables, functions and views in the database, in the schema `tlsearch`.

They are SQL texts that are installed beside Optuna's tables, which they read and write but never
alter. `docs/decisions/0009-migrations.md` says why some are migrations and others are replaced.
"""

import random
import time
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import sqlalchemy as sa

from tlsearch.errors import StorageError
from tlsearch.store import schema_statements as sql
from tlsearch.store.controls import create_missing_controls, delete_orphan_rows
from tlsearch.store.sql_texts import (
    REPLACEABLE,
    migrations,
    replaceable_digest,
    sql_text,
)

VERSION = migrations()[-1].version  # of the tables; newer ones are refused

_BUSY_SECONDS = 20  # how long to wait for sessions that read a view which is to be replaced
_BUSY = ("55P03", "40P01")  # SQLSTATE: a lock was not free in time, deadlock
# This session gives up waiting for a lock before PostgreSQL looks for deadlocks, which could end
# another session.
_SETTINGS = ("lock_timeout = '400ms'", "statement_timeout = 0", "client_min_messages = warning")
_MISSING = ("42P01", "42703", "3F000")  # SQLSTATE: no such table, column, schema
_FORBIDDEN = ("42501", "25006")  # SQLSTATE: permission denied, read-only transaction


class Installed(NamedTuple):
    """What the database says of itself.

    Attributes:
        version: of its last migration.
        sql_sha256: of the texts of its functions and views.
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
    current = found.version == VERSION and found.sql_sha256 == replaceable_digest()
    return current and found.complete


def install(engine: sa.Engine) -> None:
    """Apply the migrations that are missing, and replace functions and views: all or nothing.

    Views and functions are dropped first, as their columns and arguments may have changed; those
    that a user made beside them are left alone. Call it under the lock for creating tables, when
    Optuna's tables are there.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return _install_once(engine)
        except sa.exc.DBAPIError as error:
            busy = getattr(error.orig, "pgcode", None) in _BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.1, 0.5))


def install_if_allowed(engine: sa.Engine) -> None:
    """Install the schema; a role that may only read uses one of the same version as it is."""
    try:
        install(engine)
    except sa.exc.DBAPIError as error:
        found = _installed(engine)
        usable = found is not None and found.complete and found.version == VERSION
        if not usable or getattr(error.orig, "pgcode", None) not in _FORBIDDEN:
            raise


def _install_once(engine: sa.Engine) -> None:
    found = _installed(engine)
    with engine.begin() as connection:
        for setting in _SETTINGS:
            connection.execute(sa.text(f"SET LOCAL {setting}"))
        grants = list(connection.execute(sql.GRANTS).scalars())
        _drop(connection, None if found is None else found.objects)
        theirs = set(connection.execute(sql.OBJECTS).scalars())
        _migrate(connection, 0 if found is None else found.version)
        for name in REPLACEABLE:
            _run(connection, sql_text(name))
        for grant in grants:
            _run(connection, grant)
        made = sorted(set(connection.execute(sql.OBJECTS).scalars()) - theirs)
        values = {"version": VERSION, "sql_sha256": replaceable_digest(), "objects": made}
        connection.execute(sql.WRITE, values)
        create_missing_controls(connection)
        delete_orphan_rows(connection)  # all, where Optuna's tables were dropped and count from 1


def _drop(connection: sa.Connection, ours: list[str] | None) -> None:
    """Drop our views and functions; None: all there are."""
    for drop in list(connection.execute(sql.DROPS, {"ours": ours}).scalars()):
        _run(connection, drop)


def _migrate(connection: sa.Connection, after: int) -> None:
    """Apply the migrations after a version, and record them."""
    missing = [migration for migration in migrations() if migration.version > after]
    for migration in missing:
        _run(connection, migration.text)
    for migration in missing:  # the table of the records is made by one of them
        values = {"version": migration.version, "name": migration.name, "by": _own_version()}
        connection.execute(sql.RECORD, values)


def _own_version() -> str:
    try:
        return version("tlsearch")
    except PackageNotFoundError:  # it runs from a folder
        return "unknown"


def _installed(engine: sa.Engine) -> Installed | None:
    with engine.connect() as connection:
        try:
            row = connection.execute(sql.READ).one_or_none()
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "pgcode", None) not in _MISSING:
                raise
            return None
    return None if row is None else Installed(*row)


def _run(connection: sa.Connection, text: str) -> None:
    """Run SQL as it is: any number of statements, in which `%` and `:` are themselves."""
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})
