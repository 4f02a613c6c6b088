"""What PostgreSQL itself said, under what SQLAlchemy and Optuna put around it."""

import sqlalchemy as sa

from tlsearch.errors import first_line


def database_error(error: BaseException) -> BaseException:
    """Return the error of the database that is the cause of an error, or else its first cause."""
    while error.__cause__ is not None and not isinstance(error, sa.exc.DBAPIError):
        error = error.__cause__
    return error


def own_words(error: BaseException) -> str:
    """Return the database's own words, all lines of them."""
    return str(_driver_error(error))


def cause_of(error: BaseException) -> str:
    """Return the first line of the database's own words."""
    return first_line(_driver_error(error))


def _driver_error(error: BaseException) -> BaseException:
    found = database_error(error)
    original = found.orig if isinstance(found, sa.exc.DBAPIError) else None
    return original or found
