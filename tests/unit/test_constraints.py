"""constraints.txt pins all that pyproject.toml names, within its bounds."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [Requirement(r) for r in (ROOT / "constraints.txt").read_text().splitlines() if r[0] != "#"]


def test_each_requirement_has_a_version_within_its_bounds():
    pinned = {canonicalize_name(pin.name): str(pin.specifier) for pin in PINS}
    extras = PROJECT["optional-dependencies"].values()
    for requirement in map(Requirement, sum(extras, PROJECT["dependencies"])):
        version = pinned[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version), requirement


def test_pins_are_versions_of_an_index():
    assert len(PINS) > 100
    for pin in PINS:
        assert str(pin.specifier).startswith("=="), pin
        assert (pin.url, pin.marker, "+" in str(pin.specifier)) == (None, None, False), pin
