"""The chaos test in full; tests/acceptance/chaos.py says what it does."""

import pytest

from tests.acceptance.chaos import Options, run_chaos_test


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)  # 15 minutes on two quiet cores; imports of workers dominate
def test_chaos_loses_nothing():
    options = Options()
    report = run_chaos_test(options)
    kills = sum(
        n for fault, n in report.injected.items() if fault.startswith("kill -9 of a worker")
    )
    assert kills >= options.kills >= 100
    assert report.injected["kill -9 of PostgreSQL"] >= 20
    assert report.losses() == []
    assert sum(report.states.values()) == options.trials >= 200
    assert report.n_retrained == 20
