"""The spec of a study like another one, with some keys changed: another image size, more epochs."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlsearch.errors import SpecError
from tlsearch.records import MEASURES_SUFFIX
from tlsearch.records.names import LONGEST_NAME
from tlsearch.spec import StudySpec, parse_spec, to_toml_dict
from tlsearch.spec.load import resolve_paths
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import read_controls
from tlsearch.store.studies import find_study

_BUDGET = ("trials", "gpu_hours", "target_accuracy", "patience_trials")


def derive_spec(
    study_name: str, settings: Mapping[str, str], storage: str | None = None
) -> StudySpec:
    """Return the spec of a study with some keys changed.

    Its budget is that of the study now. What is left at its default follows what is set: fewer
    epochs have a shorter warm-up.

    Args:
        study_name: the study.
        settings: by key, such as `recipe.image_size`, a value as in TOML; text needs no quotes, and
            `none` is the default. Paths are relative to the working folder. Without `name` the name
            follows from the study's and the settings.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Raises:
        StudyError: no such study.
        SpecError: an unknown key, or a value it cannot have.
        StorageError: the database cannot be reached.
    """
    database = open_storage(storage)
    study = find_study(database, study_name)
    controls = read_controls(database.engine, study.study_id)
    document = to_toml_dict(study.spec)
    document["budget"] = {
        name: value for name in _BUDGET if (value := getattr(controls, name)) is not None
    }
    document = _without_defaults(document)
    if "name" not in settings:
        document["name"] = derived_name(study_name, settings)
    for key, text in settings.items():
        _set(document, key, text)
    return parse_spec(resolve_paths(document, Path.cwd()))


def derived_name(study_name: str, settings: Mapping[str, str]) -> str:
    """Return a name such as `cars-image_size-128`."""
    parts = [part for key, text in settings.items() for part in (key.rpartition(".")[2], text)]
    name = "-".join([study_name, *(re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts)])
    return name[: LONGEST_NAME - len(MEASURES_SUFFIX)]


def _set(document: dict[str, Any], key: str, text: str) -> None:
    *tables, last = key.split(".")
    for table in tables:
        document = document.setdefault(table, {})
        if not isinstance(document, dict):
            raise SpecError([f"{key}: {table} is a value, not a table"])
    if text == "none":
        document.pop(last, None)
    else:
        document[last] = _value(text)


def _value(text: str) -> Any:
    """Read a value as TOML has it; what is none is text."""
    try:
        found = tomllib.loads(f"x = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["x"] if set(found) == {"x"} else text


def _without_defaults(document: dict[str, Any]) -> dict[str, Any]:
    """Return a spec without those keys of its tables that may be left out."""
    whole = to_toml_dict(parse_spec(document))
    for name, table in document.items():
        if not isinstance(table, dict):
            continue
        kept = dict(table)
        for key in table:
            shorter = {k: v for k, v in kept.items() if k != key}
            if _same(document | {name: shorter}, whole):
                kept = shorter
        document = document | {name: kept}
    return document


def _same(document: dict[str, Any], whole: dict[str, Any]) -> bool:
    try:
        return to_toml_dict(parse_spec(document)) == whole
    except SpecError:
        return False
