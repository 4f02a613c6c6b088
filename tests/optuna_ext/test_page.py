"""The examples of docs/optuna_ext.md run, in memory and on PostgreSQL."""

import re
from pathlib import Path
from typing import Any

import optuna
import pytest

from tlsearch.optuna_ext import BatchedStorage
from tlsearch.optuna_ext.quiet import without_notices

PAGE = Path(__file__).parents[2] / "docs" / "optuna_ext.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run_page() -> dict[str, Any]:
    """Run the blocks one after the other, and return the names that they leave."""
    names: dict[str, Any] = {}
    with without_notices():
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    return names


def test_every_part_is_in_an_example() -> None:
    examples = "\n".join(BLOCKS)
    for part in re.findall(r"^\| `(\w+)` \|", PAGE.read_text().split("\n## ")[0], re.MULTILINE):
        assert f"{part}(" in examples


def test_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTUNA_URL", raising=False)
    names = run_page()
    assert names["storage"] is None
    assert len(names["study"].trials) == 20


def test_on_postgresql(
    monkeypatch: pytest.MonkeyPatch,
    empty_storage: optuna.storages.RDBStorage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = empty_storage.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("OPTUNA_URL", url)
    names = run_page()
    assert isinstance(names["storage"], BatchedStorage)
    studies = optuna.get_all_study_summaries(storage=url)
    assert sorted(study.n_trials for study in studies) == [20, 20, 20, 30, 40]
    assert "\n30 30\n" in capsys.readouterr().out
    drawn_by = {t.system_attrs.get("earned_prior:component") for t in all_trials(url)}
    assert drawn_by == {"prior", "tpe", "uniform", None}


def all_trials(url: str) -> list[optuna.trial.FrozenTrial]:
    names = optuna.get_all_study_names(url)
    return [
        trial for name in names for trial in optuna.load_study(study_name=name, storage=url).trials
    ]
