"""Optuna's private parts that we rely on are still there.

Where one of these tests fails after an update of Optuna: see what took the part's place, change the
module that the table in docs/optuna_ext.md names, and then the table.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.storages._rdb import models
from optuna.study import Study
from optuna.trial import create_trial

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "optuna_ext.md"


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the page, as lists of what is in backticks."""
    section = PAGE.read_text().split(f"\n{heading}\n", 1)[1].split("\n##", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]+)`", line) for line in lines]


PARTS = {part: modules for part, *modules in rows("### Attributes and functions")}
TABLES = {table: columns for table, *columns in rows("### Tables")}


def objects() -> dict[str, Any]:
    """One object of each class whose private attributes we read."""
    study = optuna.create_study()
    return {
        "FrozenTrial": create_trial(value=0.0),
        "PercentilePruner": optuna.pruners.PercentilePruner(50.0),
        "Study": study,
        "TPESampler": TPESampler(),
    }


@pytest.mark.parametrize("part", PARTS)
def test_part_is_there(part: str) -> None:
    missing = f"Optuna {optuna.__version__} has no {part}, which {PARTS[part]} of tlsearch rely on"
    first, *names = part.split(".")
    if first == "optuna":
        module, name = part.rsplit(".", 1)
        found, names = importlib.import_module(module), [name]
    else:
        found = objects()[first]
    for name in names:
        assert hasattr(found, name), missing
        found = getattr(found, name)


@pytest.mark.parametrize("table", TABLES)
def test_table_has_its_columns(table: str) -> None:
    tables = models.BaseModel.metadata.tables
    assert table in tables, f"Optuna {optuna.__version__} has no table {table}"
    missing = set(TABLES[table]) - set(tables[table].columns.keys())
    assert not missing, f"Optuna {optuna.__version__} has no columns {missing} in {table}"


def test_values_that_are_no_numbers_are_stored_as_we_read_them() -> None:
    final = {kind.name for kind in models.TrialValueModel.TrialValueType}
    reported = models.TrialIntermediateValueModel.TrialIntermediateValueType
    assert final == {"FINITE", "INF_POS", "INF_NEG"}
    assert {kind.name for kind in reported} == {*final, "NAN"}
    column = models.TrialIntermediateValueModel.__table__.columns["intermediate_value_type"]
    assert column.type.name == "trialintermediatevaluetype"


def test_a_study_keeps_our_storage_as_it_is() -> None:
    """Optuna wraps its own storage in a cache, and no other."""

    class Ours(optuna.storages.InMemoryStorage):
        pass

    storage = Ours()
    assert optuna.create_study(storage=storage)._storage is storage


def test_views_of_hyperband_override_what_accumulators_look_for() -> None:
    study = optuna.create_study(pruner=optuna.pruners.HyperbandPruner(1, 9))
    view = optuna.pruners._filter_study(study, create_trial(value=0.0))
    assert type(view).get_trials is not Study.get_trials


def private_names(path: Path) -> Iterator[str]:
    """Yield the private names of other objects, and of Optuna's modules, that a file uses."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("optuna"):
            yield from (alias.name for alias in node.names)
            yield from str(node.module).split(".")


def test_the_page_lists_all_that_we_use() -> None:
    listed = {name for part in PARTS for name in part.split(".")}
    used = {
        name
        for path in (ROOT / "tlsearch" / "optuna_ext").rglob("*.py")
        for name in private_names(path)
        if name.startswith("_") and not name.startswith("__")
    }
    assert used - listed == set()
