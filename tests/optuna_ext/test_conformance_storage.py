"""Optuna's own suite for storages, `optuna.testing.pytest_storages`, on PostgreSQL."""

import pytest
from optuna.storages import BaseStorage, RDBStorage
from optuna.testing.pytest_storages import StorageTestCase

from tlsearch.optuna_ext import BatchedStorage


class TestHolding(StorageTestCase):
    """As by default: what is set on a running trial is held."""

    @pytest.fixture
    def storage(self, empty_storage: RDBStorage) -> BaseStorage:
        return BatchedStorage(empty_storage)


@pytest.mark.slow
class TestFlushing(StorageTestCase):
    """Every report is written at once, with all that is held."""

    @pytest.fixture
    def storage(self, empty_storage: RDBStorage) -> BaseStorage:
        return BatchedStorage(empty_storage, flush_seconds=0.0)
