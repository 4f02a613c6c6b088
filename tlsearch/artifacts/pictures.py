"""Pictures of a trial among its files, as optuna-dashboard shows them."""

import json
import mimetypes
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tlsearch.artifacts.base import Artifacts
from tlsearch.errors import StorageError

_KEY = "artifacts:"  # what Optuna's keys of artifacts begin with


def picture_attrs(artifacts: Artifacts, pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Save pictures (or other files) and return what makes optuna-dashboard show them.

    Args:
        artifacts: where they will lie.
        pictures: contents by the file names to be shown.

    Returns:
        System attributes for the trial, to be written before it ends: those that Optuna's
        `upload_artifact` would write.

    Raises:
        StorageError: one cannot be saved; none is kept then.
    """
    attrs: dict[str, str] = {}
    try:
        for filename, data in pictures.items():
            artifact_id = str(uuid.uuid4())
            attrs[_KEY + artifact_id] = json.dumps(_meta(artifact_id, filename))
            artifacts.save(artifact_id, data)
    except BaseException:
        remove_pictures(artifacts, attrs)
        raise
    return attrs


def shown_files(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return the names under which files lie among the artifacts, by the file names shown.

    Args:
        attrs: system attributes of a trial or a study; those of other programs are passed over.
    """
    found = {}
    for key, text in attrs.items():
        if key.startswith(_KEY):
            with suppress(ValueError, KeyError, TypeError):
                found[str(json.loads(text)["filename"])] = key.removeprefix(_KEY)
    return found


def remove_pictures(artifacts: Artifacts, attrs: Mapping[str, str]) -> None:
    """Remove the pictures that `picture_attrs` saved; those that cannot be removed stay."""
    with suppress(StorageError):
        for key in attrs:
            artifacts.remove(key.removeprefix(_KEY))


def _meta(artifact_id: str, filename: str) -> dict[str, str | None]:
    kind, encoding = mimetypes.guess_type(filename)
    return {
        "artifact_id": artifact_id,
        "filename": filename,
        "mimetype": kind or "application/octet-stream",
        "encoding": encoding,
    }
