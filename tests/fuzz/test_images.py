"""Odd images come out as RGB or are refused in a sentence: a few, and 1,000 in the long run."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.images import odd_image
from tests.fuzz.outcomes import Outcomes, of_image
from tests.fuzz.report import images, sets


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_odd_image(tmp_path, seed):
    outcomes = Outcomes()
    odd = odd_image(seed)
    outcomes.note(odd.what, lambda: of_image(odd, tmp_path))
    assert outcomes.worst == []


def test_folders_of_odd_images(tmp_path):
    found = sets(tmp_path, 4)
    assert found.worst == []
    assert found.counts == {"read": 2, "refused": 2}


@pytest.mark.slow
def test_a_thousand_odd_images(tmp_path):
    outcomes = images(tmp_path)
    assert outcomes.worst == []
    assert outcomes.counts["read"] > 200
    assert outcomes.counts["refused"] > 200


@pytest.mark.slow
def test_many_folders_of_odd_images(tmp_path):
    assert sets(tmp_path).worst == []
