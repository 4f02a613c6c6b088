"""Pictures of a trial among its files, as optuna-dashboard shows them."""

import json
import mimetypes
import uuid
from collections.abc import Mapping
from contextlib import suppress

from tlsearch.artifacts.base import Artifacts
from tlsearch.errors import StorageError


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
    saved: list[str] = []
    try:
        for filename, data in pictures.items():
            saved.append(str(uuid.uuid4()))
            artifacts.save(saved[-1], data)
            attrs[f"artifacts:{saved[-1]}"] = json.dumps(_meta(saved[-1], filename))
    except BaseException:
        with suppress(StorageError):
            for name in saved:
                artifacts.remove(name)
        raise
    return attrs


def _meta(artifact_id: str, filename: str) -> dict[str, str | None]:
    kind, encoding = mimetypes.guess_type(filename)
    return {
        "artifact_id": artifact_id,
        "filename": filename,
        "mimetype": kind or "application/octet-stream",
        "encoding": encoding,
    }
