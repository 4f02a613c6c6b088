"""The ends of the best trials' curves, as the database returns them."""

import pytest

from tests.db.rows import Rows
from tlsearch.store.connect import open_storage
from tlsearch.store.curves import read_endings


@pytest.fixture
def rows(storage_url: str) -> Rows:
    return Rows(storage_url)


def test_the_best_by_the_mean_of_their_end(rows, storage_url):
    study = rows.study("s", trials=10)
    rows.trial(study, 0, value=0.9, curve=[0.1, 0.2, 0.9])  # lucky at last
    rows.trial(study, 1, value=0.8, curve=[0.9, 0.8, 0.8])
    rows.trial(study, 2, value=0.7, curve=[0.0, 0.7, 0.7])
    rows.trial(study, 3, value=0.8, curve=[0.9, 0.8, 0.8], duplicate_of=1)
    rows.trial(study, 4, "PRUNED", curve=[0.9, 0.9])
    rows.trial(study, 5, "RUNNING", curve=[0.9, 0.9, 0.9])
    rows.trial(study, 6, value=0.9, curve=[0.9, 0.9])  # of another number of epochs
    rows.trial(study, 7, value=0.9, curve=[0.9, None, 0.9])
    rows.trial(rows.study("other", trials=10), 0, value=1.0, curve=[1.0, 1.0, 1.0])
    engine = open_storage(storage_url).engine
    found = read_endings(engine, study, 2, 3, top=2)
    assert found.of_best == ((0.8, 0.8), (0.7, 0.7))
    assert found.n_complete == 3
    assert len(read_endings(engine, study, 2, 3, top=9).of_best) == 3
    assert read_endings(engine, study, 4, 5, top=9).of_best == ()
