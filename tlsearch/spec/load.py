"""Reads a study spec, hashes it, and says how two differ."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tlsearch.errors import SpecError
from tlsearch.spec.model import StudySpec
from tlsearch.spec.problems import describe


def load_spec(path: str | Path) -> StudySpec:
    """Read and validate a TOML spec.

    Paths of data and weights inside it are relative to the file and come back absolute.

    Raises:
        SpecError: with every problem found, each sentence naming the file.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError([f"{path}: no such file; give the path of a study spec (TOML)"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError([f"{path}: cannot be read ({error}); give a readable TOML file"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError([f"{path}: is not valid TOML: {error}"]) from None
    try:
        return parse_spec(_resolve_paths(document, path.absolute().parent))
    except SpecError as error:
        raise SpecError([f"{path}: {problem}" for problem in error.problems]) from None


def parse_spec(document: Mapping[str, Any]) -> StudySpec:
    """Validate a spec that is already a mapping.

    Raises:
        SpecError: with every problem found.
    """
    try:
        return StudySpec.model_validate(dict(document))
    except ValidationError as error:
        raise SpecError(describe(error, StudySpec)) from None


def to_toml_dict(spec: StudySpec) -> dict[str, Any]:
    """Return the whole spec, defaults filled in, as plain values; without the storage URL."""
    return spec.model_dump(mode="json", exclude={"storage"}, exclude_none=True)


def spec_hash(spec: StudySpec) -> str:
    """Return a SHA-256 of what the spec says; layout, comments and storage do not count."""
    canonical = json.dumps(to_toml_dict(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def differences(stored: Mapping[str, Any], given: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return `key: stored -> given` for each value in which two plain specs differ."""
    found: list[str] = []
    for key in dict.fromkeys([*stored, *given]):
        old, new = stored.get(key), given.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {json.dumps(old)} -> {json.dumps(new)}")
    return found


def _resolve_paths(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths of images and weights absolute, leaving names of other kinds alone."""
    data, backbone = document.get("data"), document.get("backbone")
    for table, key in ((data, "path"), (document.get("measures"), "source")):
        path = table.get(key) if isinstance(table, dict) else None
        if isinstance(path, str) and path and not path.startswith("builtin:"):
            table[key] = _resolved(folder, path)  # type: ignore[index]
    if isinstance(backbone, dict):
        weights = backbone.get("weights")
        if isinstance(weights, str) and weights.endswith((".safetensors", ".pth", ".pt", ".bin")):
            backbone["weights"] = _resolved(folder, weights)
    return document


def _resolved(folder: Path, path: str) -> str:
    return path if "\0" in path else str((folder / Path(path).expanduser()).resolve())
