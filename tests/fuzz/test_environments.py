"""Odd environments: a command does its work or says why not; some, and 200 slowly."""

import resource

import pytest

from tests.fuzz.commands import DONE, REFUSED, environments, make_corner, plain_spec
from tests.fuzz.environments import Environment, run
from tlsearch.studies.create import create_study


@pytest.fixture
def commands(tmp_path, storage_url):
    """Commands on a study in the database, and on its spec."""
    corner = tmp_path / "corner"
    corner.mkdir()
    make_corner(corner)
    spec = corner / "plain.toml"
    spec.write_text(plain_spec(corner))
    create_study(spec, storage_url)
    return [
        ["status", "plain"],
        ["best", "plain"],
        ["best", "plain", "--json"],
        ["prior", "plain"],
        ["budget", "plain"],
        ["--help"],
        ["db", "url"],
        ["check", str(spec)],
        ["nonsense"],
        ["status", "none"],
    ]


def test_some_odd_environments(commands, tmp_path, storage_url):
    assert environments(tmp_path, range(5), storage_url, commands).faults == []


def test_too_little_memory_to_load_torch(commands, tmp_path, storage_url):
    odd = Environment(["check", commands[7][1]], limits={resource.RLIMIT_AS: 2 << 30})
    (tmp_path / "place").mkdir()
    ended = run(odd, tmp_path / "place", storage_url, 120)
    assert (ended.returncode, "Traceback" in ended.output) == (2, False), ended.output
    assert "error: too little memory (" in ended.output


@pytest.mark.slow
def test_two_hundred_odd_environments(commands, tmp_path, storage_url):
    found = environments(tmp_path, range(200), storage_url, commands)
    assert found.faults == []
    assert found.counts[DONE] > 50
    assert found.counts[REFUSED] > 50
