"""The spin count of libgomp's idle threads, as real processes read it."""

import os
import re
import subprocess
import sys

import pytest

from tlsearch.launcher import WorkerCommand
from tlsearch.threads import SPIN_COUNT, with_short_spin

USER_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
needs_libgomp = pytest.mark.skipif(sys.platform != "linux", reason="torch uses libgomp on Linux")

COMMAND = ["-m", "tlsearch", "layers", "test_efficientnet"]
LIBRARY = ["-c", "import tlsearch; tlsearch.load_spec; import torch"]
TORCH_FIRST = ["-c", "import torch, tlsearch; tlsearch.load_spec"]


@pytest.fixture
def without_settings(monkeypatch):
    for name in USER_SETTINGS:
        monkeypatch.delenv(name, raising=False)


def spin_counts(arguments: list[str], **environment: str) -> set[str]:
    """Run Python and return the counts that the copies of libgomp in it print as they load."""
    kept = {name: value for name, value in os.environ.items() if name not in USER_SETTINGS}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**kept, "OMP_DISPLAY_ENV": "VERBOSE", **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr))


def test_an_environment_without_a_setting_gets_one():
    assert with_short_spin({"A": "b"}) == {"A": "b", "GOMP_SPINCOUNT": str(SPIN_COUNT)}


@pytest.mark.parametrize("name", USER_SETTINGS)
@pytest.mark.parametrize("value", ["active", "5", ""])
def test_a_setting_of_the_user_stays_alone(name, value):
    assert with_short_spin({name: value}) == {name: value}


@needs_libgomp
@pytest.mark.parametrize("arguments", [COMMAND, LIBRARY], ids=["command", "library"])
def test_libgomp_reads_it(arguments):
    assert spin_counts(arguments) == {str(SPIN_COUNT)}


@needs_libgomp
def test_libgomp_reads_the_users_own():
    assert spin_counts(LIBRARY, GOMP_SPINCOUNT="77") == {"77"}


@needs_libgomp
def test_it_is_left_alone_where_torch_is_loaded_already():
    counts = spin_counts(TORCH_FIRST)
    assert counts
    assert str(SPIN_COUNT) not in counts


@pytest.mark.usefixtures("without_settings")
def test_workers_of_the_launcher_get_it():
    assert WorkerCommand(["a"], threads=2).environment()["GOMP_SPINCOUNT"] == str(SPIN_COUNT)


def test_workers_of_the_launcher_keep_the_users_own(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert "GOMP_SPINCOUNT" not in WorkerCommand(["a"], threads=2).environment()
