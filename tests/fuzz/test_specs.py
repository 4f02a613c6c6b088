"""Odd specs: `tlsearch check` reads them or says what is wrong; some here, and 500 slowly."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.commands import DONE, REFUSED, check, make_corner, specs
from tests.fuzz.specs import odd_spec


@pytest.fixture(scope="module")
def corner(tmp_path_factory):
    return make_corner(tmp_path_factory.mktemp("corner"))


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_odd_spec(corner, tmp_path, seed):
    path = tmp_path / "self.toml"
    path.write_bytes(odd_spec(seed, *corner))
    word, why = check(path)
    assert word in (DONE, REFUSED), why


@pytest.mark.slow
def test_five_hundred_odd_specs(tmp_path):
    found = specs(tmp_path, range(500))
    assert found.faults == []
    assert found.counts[DONE] > 25
    assert found.counts[REFUSED] > 250
