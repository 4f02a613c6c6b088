"""Keeps Optuna from announcing what is only passing."""

from collections.abc import Iterator
from contextlib import contextmanager

import optuna


@contextmanager
def without_notices() -> Iterator[None]:
    """Silence Optuna's notices of new studies until the block ends; warnings stay."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
