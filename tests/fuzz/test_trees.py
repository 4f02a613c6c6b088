"""Every file of an odd tree is counted, or the tree refused: some, and 500 in the long run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.outcomes import Outcomes, of_tree
from tests.fuzz.report import trees
from tests.fuzz.trees import odd_tree


def run(place, seed: int, outcomes: Outcomes) -> None:
    links = seed % 2 == 1
    odd_tree(place / "root", seed, links)
    outcomes.note(f"seed {seed}", lambda: of_tree(place / "root", links))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_any_odd_tree(tmp_path_factory, seed):
    outcomes = Outcomes()
    run(tmp_path_factory.mktemp("tree"), seed, outcomes)
    assert outcomes.worst == []


@pytest.mark.slow
def test_five_hundred_odd_trees(tmp_path):
    outcomes = trees(tmp_path)
    assert outcomes.worst == []
    assert outcomes.counts["read"] > 100
    assert outcomes.counts["refused"] > 100
