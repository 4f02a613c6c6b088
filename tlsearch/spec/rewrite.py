"""Writes a spec with other values; layout and comments stay as the user wrote them."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from tlsearch.errors import SpecError
from tlsearch.spec.load import decoded, load_spec, resolve_paths


def rewrite_spec(source: Path, target: Path, values: Mapping[str, Any]) -> None:
    """Write the spec of `source` with other values to `target`.

    Relative paths of images and weights stay what they name. `target` is replaced at once where it
    is `source` itself.

    Args:
        source: a valid spec.
        target: a new file, or `source`.
        values: by dotted key, such as `recipe.epochs`.

    Raises:
        SpecError: `target` is another file that exists, or cannot be written.
    """
    if target.exists() and not target.samefile(source):
        raise SpecError([f"{target}: is there already; name a new file, or the spec itself"])
    try:
        document = tomlkit.parse(decoded(source.read_bytes()))
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise SpecError([f"{source}: cannot be read ({error}); give a valid spec"]) from None
    for key, value in values.items():
        _set(document, key, value)
    if target.absolute().parent != source.absolute().parent:
        resolve_paths(document, source.absolute().parent)
    _write(target, tomlkit.dumps(document))


def _set(document: Any, dotted: str, value: Any) -> None:
    *tables, key = dotted.split(".")
    for name in tables:
        if name not in document:
            document[name] = tomlkit.table()
        document = document[name]
    document[key] = value


def _write(target: Path, text: str) -> None:
    """Check the text as a spec, then put it in its place."""
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".tlsearch-") as at:
            written = Path(at, target.name)
            written.write_text(text, encoding="utf-8")
            load_spec(written)
            os.replace(written, target)
    except OSError as error:
        raise SpecError([f"{target}: cannot be written ({error}); name another file"]) from None
