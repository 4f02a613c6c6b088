"""Reads what was measured on the test images of a study."""

from tlsearch.records.tested import TestResult
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study
from tlsearch.store.test_results import read_test_results


def read_tests(name: str, storage: str | None = None) -> list[TestResult]:
    """Return all looks at the test images of a study, the first one first.

    Args:
        name: the study.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Returns:
        An empty list before `tlsearch test`.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    database = open_storage(storage)
    study = find_study(database, name)
    return read_test_results(database.engine, study.study_id)
