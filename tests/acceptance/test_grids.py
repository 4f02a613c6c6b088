"""A study over a grid: it ends with its grid, however many workers there are."""

from collections import Counter

import pytest

from tests.acceptance.test_workers import records_of

GRID = """
[sampler.options.search_space]
high_lr = [0.001, 0.003, 0.03, 0.1]
reinit_layers = [1, 2]
"""
# Ranges with equal ends hold the other knobs where they are.
SPACE = """
reinit_layers = [1, 2]
low_lr_ratio = [1.0, 1.0]
low_layers = [0, 0]
alpha = 0.0
beta = [1e-4, 1e-4]
l2sp_layers = [0, 0]
"""


def grid_of(tiny, trials):
    path = tiny("grid", trials=trials, sampler="GridSampler", space=SPACE, epochs=1)
    text = path.read_text().replace("startup_trials = 4\n", GRID, 1)
    path.write_text(text.replace('name = "median"\nwarmup_fraction = 0.25', 'name = "none"'))
    return str(path)


def points_of(storage_url):
    """The rates and layers of the trials that the grid drew."""
    drawn = [each for each in records_of(storage_url, "grid") if each.origin == "GridSampler"]
    return Counter((each.params.high_lr, each.params.reinit_layers) for each in drawn)


@pytest.mark.slow
def test_two_workers_try_every_point_and_leave(tlsearch, tiny, storage_url):
    tlsearch.run("create", grid_of(tiny, trials=40))
    workers = [tlsearch.start("worker", "grid", "--threads", "1") for _ in range(2)]
    outputs = [worker.communicate(timeout=240) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert any("all 8 points of its grid were tried" in out for out, _ in outputs), outputs
    found = points_of(storage_url)
    assert set(found) == {(lr, k) for lr in (0.001, 0.003, 0.03, 0.1) for k in (1, 2)}
    records = records_of(storage_url, "grid")
    assert len(records) - found.total() == 1  # the plain default, which is queued first
    assert {each.state for each in records} == {"complete"}


def test_a_trial_of_ones_own_runs_beside_the_grid(tlsearch, tiny, storage_url):
    tlsearch.run("create", grid_of(tiny, trials=40))
    assert "all 8 points" in tlsearch.run("worker", "grid").stdout
    assert points_of(storage_url).total() == 8
    tlsearch.run("enqueue", "grid", "--set", "high_lr=0.02")
    assert "all 8 points" in tlsearch.run("worker", "grid").stdout
    assert len(records_of(storage_url, "grid")) == 10
    assert points_of(storage_url).total() == 8


def test_a_budget_below_the_grid_comes_first(tlsearch, tiny, storage_url):
    tlsearch.run("create", grid_of(tiny, trials=4))
    assert "its budget of 4 trials is spent" in tlsearch.run("worker", "grid").stdout
    assert points_of(storage_url).total() == 3
