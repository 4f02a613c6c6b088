"""An empty database with Optuna's tables, made once for all tests of a file that share it."""

import uuid
from collections.abc import Iterator

import optuna
import pytest
import sqlalchemy as sa

from tests.conftest import execute
from tlsearch.optuna_ext.quiet import without_notices


@pytest.fixture(scope="module")
def optunas_storage(embedded_url: str) -> Iterator[optuna.storages.RDBStorage]:
    """Optuna's own storage; the tests of one file share its database."""
    name = f"test_{uuid.uuid4().hex}"
    execute(embedded_url, f"CREATE DATABASE {name}")
    url = embedded_url.replace("@/tlsearch?", f"@/{name}?")
    with without_notices():
        storage = optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg2:"))
        yield storage
    storage.engine.dispose()
    execute(embedded_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_storage(
    optunas_storage: optuna.storages.RDBStorage,
) -> Iterator[optuna.storages.RDBStorage]:
    """The same without any study, before and after."""
    yield optunas_storage
    with optunas_storage.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE studies CASCADE"))
