"""Tells a database that is away for a while from one that refuses, and waits for it."""

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import optuna
import sqlalchemy as sa

from tlsearch.errors import DatabaseAway
from tlsearch.store.causes import cause_of, database_error

T = TypeVar("T")

DATABASE_ERRORS = (sa.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
_FIRST_WAIT_SECONDS = 0.2
# SQLSTATE classes and codes that pass: connection lost, server stops, starts or is full,
# a standby before its promotion, a deadlock, a transaction to be repeated, waiting cut short.
_PASSING = ("08", "57P", "53300", "25006", "40001", "40P01", "55P03", "57014")
# A refused connection has no code, and its words are in the server's language. Words that are not
# known here count as an outage, which is given up at its limit.
_LASTING = re.compile(
    "authentication failed|no password supplied|no pg_hba.conf entry|permission denied"
    "|(role|database) .* does not exist|not permitted to log in"
)


def is_outage(error: BaseException) -> bool:
    """Whether the error says that the database cannot be reached now, but may be later."""
    error = database_error(error)
    if isinstance(error, sa.exc.TimeoutError):  # no connection of the pool was free
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = getattr(error.orig, "pgcode", None)
    if code is None:
        if _LASTING.search(str(error.orig)):
            return False
        lost = error.connection_invalidated  # psycopg2 may call it a DatabaseError
        return lost or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    return str(code).startswith(_PASSING)


def within(seconds: float, action: Callable[[], T]) -> T:
    """Do something with the database, but do not wait longer than so many seconds for it.

    A network that swallows everything is noticed by the system after a minute only. What takes
    longer goes on in a thread that ends with the process.

    Raises:
        DatabaseAway: it was not done in time.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(action())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(timeout=seconds)
    except TimeoutError:
        raise DatabaseAway(f"the database has not answered for {seconds:.0f} s") from None


class RetryPolicy:
    """Repeats calls of the database while it is away.

    Args:
        limit_seconds: of one outage; then the call is given up.
        over: where set, the call is given up at once.
        on_wait: told of every failed try: seconds away so far, and why.
        longest_wait_seconds: between two tries; the waits grow to it.
    """

    def __init__(
        self,
        limit_seconds: float,
        over: threading.Event | None = None,
        on_wait: Callable[[float, str], None] = lambda *_: None,
        longest_wait_seconds: float = 15.0,
    ) -> None:
        self.limit_seconds = limit_seconds
        self._over = over or threading.Event()
        self._on_wait = on_wait
        self._longest_wait = longest_wait_seconds

    def call(self, action: Callable[[], T]) -> T:
        """Do something with the database, again and again while it is away.

        The action must be one that may be repeated when only its answer was lost.

        Raises:
            DatabaseAway: the limit was reached, or waiting was ended.
        """
        start = time.monotonic()
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                return action()
            except DATABASE_ERRORS as error:
                if not is_outage(error):
                    raise
                away, why = time.monotonic() - start, cause_of(error)
                self._on_wait(away, why)
                wait = min(wait, self._longest_wait)
                if away >= self.limit_seconds or self._over.wait(wait * random.uniform(0.5, 1)):
                    raise DatabaseAway(
                        f"the database has been out of reach for {away:.0f} s ({why})"
                    ) from error
                wait *= 2
