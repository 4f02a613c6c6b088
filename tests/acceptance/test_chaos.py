"""The storm of faults in full; see tests/acceptance/storm.py for what it does."""

import pytest

from tests.acceptance.chaos import Options, storm


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)  # 15 minutes on two quiet cores; imports of workers dominate
def test_a_storm_of_faults_loses_nothing():
    options = Options()
    left = storm(options)
    kills = sum(n for fault, n in left.injected.items() if fault.startswith("kill -9 of a worker"))
    assert kills >= options.kills >= 100
    assert left.injected["kill -9 of PostgreSQL"] >= 20
    assert left.losses() == []
    assert sum(left.states.values()) == options.trials >= 200
    assert left.n_retrained == 20
