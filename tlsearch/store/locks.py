"""Locks between processes, kept by PostgreSQL.

A lock is held by a transaction on a connection of its own, so the server lets it go when the
process that holds it dies. The work under it goes over other connections: each held lock takes
one connection of the engine's pool for as long.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from tlsearch.errors import StorageError

PROJECT_KEY = 0x746C7365  # "tlse": no other program's; SQL functions take it from here
CREATE_KEY = 0  # no study has this id
MEASURING, EXPECTING = 1, 2  # kinds of slow work
LOCK_TIMEOUT = "55P03"  # SQLSTATE lock_not_available


@contextmanager
def study_lock(engine: sa.Engine, study_id: int, timeout_seconds: float = 60) -> Iterator[None]:
    """Hold the lock of a study; no other process holds it meanwhile.

    The timeout, in seconds, bounds the waiting and the holding. A holder that stays longer (it
    hangs, was frozen, or lost the network) has its session ended by the server and others go on;
    leaving the context then raises, as the end of the work may not have been alone. That work
    itself, on other connections, is not undone.

    Raises:
        StorageError: the lock was not free in time, or was lost before the context was left.
        sqlalchemy.exc.DBAPIError: the database cannot be reached to take the lock.
    """
    with engine.connect() as connection:
        _take(connection, study_id, timeout_seconds)
        try:
            yield
        except BaseException:
            # The lock may be lost as well; what failed under it is the better message.
            with suppress(sa.exc.DBAPIError):
                connection.rollback()
            raise
        _release(connection, study_id, timeout_seconds)


@contextmanager
def create_lock(engine: sa.Engine, timeout_seconds: float = 60) -> Iterator[None]:
    """Hold the lock for creating tables and studies of a database; as `study_lock`."""
    with study_lock(engine, CREATE_KEY, timeout_seconds):
        yield


@contextmanager
def sole_attempt(engine: sa.Engine, study_id: int, work: int = MEASURING) -> Iterator[bool]:
    """Hold a lock for slow work on a study that one process is enough for, if it is free.

    Unlike `study_lock` no process waits for it, it has no time limit, and it guards no trials.

    Args:
        engine: of the database.
        study_id: Optuna's key of the study.
        work: MEASURING or EXPECTING; the one does not hinder the other.

    Yields:
        Whether it was free.
    """
    with engine.connect() as connection:
        values = {"project": PROJECT_KEY + work, "study": study_id}
        yield bool(connection.execute(_TRY, values).scalar_one())
        with suppress(sa.exc.DBAPIError):  # the server let it go when the connection broke
            connection.rollback()


def _take(connection: sa.Connection, study_id: int, timeout_seconds: float) -> None:
    """Wait for the lock; the timeouts end with the transaction."""
    timeout = f"{max(1, round(timeout_seconds * 1000))}ms"
    settings = {"lock_timeout": timeout, "idle_in_transaction_session_timeout": timeout}
    settings["statement_timeout"] = "0"  # a role's own limit would cut the waiting short
    for name, value in settings.items():
        connection.execute(_SET_LOCAL, {"name": name, "value": value})
    try:
        connection.execute(_LOCK, {"project": PROJECT_KEY, "study": study_id})
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_TIMEOUT:
            raise
        hint = "another process holds it: look for one that hangs, or try again"
        what = f"the lock on {_formatted(study_id)} was not free within {timeout_seconds:g} s"
        raise StorageError(f"{what}; {hint}") from None


def _release(connection: sa.Connection, study_id: int, timeout_seconds: float) -> None:
    """End the transaction, which shows whether the server still had it."""
    try:
        connection.commit()
    except sa.exc.DBAPIError:
        connection.invalidate()
        why = f"the database ended its session, as it does after {timeout_seconds:g} s"
        raise StorageError(
            f"the lock on {_formatted(study_id)} was lost: {why}; try again"
        ) from None


def _formatted(study_id: int) -> str:
    return "creating tables and studies" if study_id == CREATE_KEY else f"study {study_id}"


_SET_LOCAL = sa.text("SELECT set_config(:name, :value, true)")
_LOCK = sa.text("SELECT pg_advisory_xact_lock(:project, :study)")
_TRY = sa.text("SELECT pg_try_advisory_xact_lock(:project, :study)")
