"""Silences Optuna's log messages for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import optuna


@contextmanager
def without_notices() -> Iterator[None]:
    """Silence Optuna's information messages, as of new studies, within the block; warnings stay."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
