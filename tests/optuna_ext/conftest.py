"""An empty database with Optuna's tables, made once for all tests of a file that share it."""

from collections.abc import Iterator

import optuna
import pytest
import sqlalchemy as sa

from tests.conftest import fresh_database
from tlsearch.optuna_ext.quiet import without_notices


@pytest.fixture(scope="module")
def shared_storage(embedded_url: str) -> Iterator[optuna.storages.RDBStorage]:
    """Optuna's own storage on a database without anything of tlsearch."""
    with fresh_database(embedded_url, "template1") as url, without_notices():
        storage = optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg2:"))
        yield storage
        storage.engine.dispose()


@pytest.fixture
def empty_storage(
    shared_storage: optuna.storages.RDBStorage,
) -> Iterator[optuna.storages.RDBStorage]:
    """The same without any study, before and after."""
    yield shared_storage
    with shared_storage.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE studies RESTART IDENTITY CASCADE"))
