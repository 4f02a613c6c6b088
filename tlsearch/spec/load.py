"""Reads a study spec, hashes it, and compares two."""

import codecs
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tlsearch.errors import SpecError
from tlsearch.spec.data import HF, PAPER, S3, TORCHVISION
from tlsearch.spec.problems import describe
from tlsearch.spec.study import StudySpec


def load_spec(path: str | Path) -> StudySpec:
    """Read and validate a TOML spec.

    Paths of data and weights in it are relative to the file; the result has absolute paths.

    Raises:
        SpecError: with every problem found; each sentence names the file.
    """
    path = Path(path)
    try:
        document = tomllib.loads(decoded(path.read_bytes()))
    except FileNotFoundError:
        raise SpecError([f"{path}: no such file; give the path of a study spec (TOML)"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError([f"{path}: cannot be read ({error}); give a readable TOML file"]) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, too
        raise SpecError([f"{path}: is not valid TOML ({error}); correct that line"]) from None
    try:
        return parse_spec(resolve_paths(document, path.absolute().parent))
    except SpecError as error:
        raise SpecError([f"{path}: {problem}" for problem in error.problems]) from None


def parse_spec(document: Mapping[str, Any]) -> StudySpec:
    """Validate a spec that is a mapping already.

    Raises:
        SpecError: with every problem found.
    """
    try:
        return StudySpec.model_validate(dict(document))
    except ValidationError as error:
        raise SpecError(describe(error, StudySpec)) from None


def to_toml_dict(spec: StudySpec) -> dict[str, Any]:
    """Return the whole spec as plain values, with the defaults and without the storage URL."""
    return spec.model_dump(mode="json", exclude={"storage"}, exclude_none=True)


def spec_hash(spec: StudySpec) -> str:
    """Return a SHA-256 of the spec's values; layout, comments and storage do not count."""
    canonical = json.dumps(to_toml_dict(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def differences(stored: Mapping[str, Any], given: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return `key: stored -> given` for each value that differs between two plain specs."""
    found: list[str] = []
    for key in dict.fromkeys([*stored, *given]):
        old, new = stored.get(key), given.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {json.dumps(old)} -> {json.dumps(new)}")
    return found


def decoded(data: bytes) -> str:
    """Decode a spec; editors that do not write plain UTF-8 begin it with a byte order mark."""
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32"}
    marks |= {codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16"}
    marks |= {codecs.BOM_UTF16_BE: "utf-16"}
    return data.decode(
        next((code for mark, code in marks.items() if data.startswith(mark)), "utf-8")
    )


def resolve_paths(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths of images and weights absolute; names that are not paths stay."""
    for table_name, key, is_path in PATHS:
        table = document.get(table_name)
        if isinstance(table, dict) and isinstance(table.get(key), str) and is_path(table[key]):
            table[key] = _resolved(folder, table[key])
    backbone = document.get("backbone")
    candidates = backbone.get("candidates") if isinstance(backbone, dict) else None
    for each in candidates if isinstance(candidates, list) else []:
        weights = each.get("weights") if isinstance(each, dict) else None
        if isinstance(weights, str) and _is_weights_path(weights):
            each["weights"] = _resolved(folder, weights)
    return document


def _is_image_path(text: str) -> bool:
    return bool(text) and not text.startswith(("builtin:", TORCHVISION, PAPER, S3, HF))


def _is_weights_path(text: str) -> bool:
    return text.endswith((".safetensors", ".pth", ".pt", ".bin"))


PATHS = (  # keys whose values may be paths relative to the spec, and whether a value is one
    ("data", "path", _is_image_path),
    ("data", "root", bool),
    ("measures", "source", _is_image_path),
    ("backbone", "weights", _is_weights_path),
)


def _resolved(folder: Path, path: str) -> str:
    return path if "\0" in path else str((folder / Path(path).expanduser()).resolve())
