"""The package in OptunaHub's layout: it stands alone, and is the sampler that tlsearch uses."""

import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

import tlsearch.optuna_ext.hub
from tlsearch.optuna_ext import EarnedPriorSampler, NormalPrior

(HUB,) = tlsearch.optuna_ext.hub.__path__
PACKAGE = Path(HUB) / "earned_prior"
FRONT_MATTER = {"author", "title", "description", "tags", "optuna_versions", "license"}

LOADED = """
import json, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("the package, or loading it, uses the network")
socket.socket.connect = socket.getaddrinfo = refuse
import optuna, optunahub
module = optunahub.load_local_module("earned_prior", registry_root=sys.argv[1])
optuna.logging.set_verbosity(optuna.logging.WARNING)
sampler = module.EarnedPriorSampler({"x": module.NormalPrior(1.0, 0.5)}, seed=3)
study = optuna.create_study(sampler=sampler)
study.optimize(lambda trial: abs(trial.suggest_float("x", -5, 5) - 1.5), n_trials=25)
assert not [name for name in sys.modules if name.split(".")[0] in ("tlsearch", "torch")]
print(json.dumps([trial.params["x"] for trial in study.trials]))
"""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder that holds the package alone, as it is copied to the registry."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "registry" / PACKAGE.name, ignore=ignored))


def run(*arguments: str | Path, folder: Path) -> str:
    """Run Python in a folder that is not ours."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_copied_package_draws_what_ours_draws(copied: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=EarnedPriorSampler({"x": NormalPrior(1.0, 0.5)}, seed=3))
    study.optimize(lambda trial: abs(trial.suggest_float("x", -5, 5) - 1.5), n_trials=25)
    drawn = run("-c", LOADED, copied.parent, folder=copied.parent)
    assert drawn.strip() == str([trial.params["x"] for trial in study.trials])


def test_the_example_runs(copied: Path) -> None:
    right, wrong = run(copied / "example.py", folder=copied.parent).splitlines()
    assert "'prior'" in right
    assert right.startswith("prior at lr 0.01")
    assert wrong.startswith("prior at lr 0.9")


@pytest.mark.slow
def test_its_own_tests_pass(copied: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-W", "error::DeprecationWarning:earned_prior")
    assert " passed" in run("-m", "pytest", copied, *options, folder=copied.parent)


def test_its_readme_begins_as_optunahub_wants_it() -> None:
    empty, matter, text = (PACKAGE / "README.md").read_text().split("---\n", 2)
    assert empty == ""
    entries = dict(line.split(": ", 1) for line in matter.splitlines())
    assert entries.keys() == FRONT_MATTER
    assert all(entries.values())
    assert "sampler" in entries["tags"].strip("[]").split(", ")
    assert entries["optuna_versions"].strip("[]").split(", ")[-1] == optuna.__version__
    assert entries["license"] == "MIT License"
    for heading in ("Abstract", "Class or Function Names", "Example"):
        assert f"\n## {heading}\n" in text


def test_its_licence_is_the_projects() -> None:
    ours = Path(__file__).parents[2] / "LICENSE"
    assert (PACKAGE / "LICENSE").read_text() == ours.read_text()
