"""The files of a look at the test images: a picture and a table, among the study's artifacts."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from optuna.storages import RDBStorage

from tlsearch.artifacts import (
    Artifacts,
    artifacts_place,
    open_artifacts,
    picture_attrs,
    shown_files,
)
from tlsearch.errors import InputError, described
from tlsearch.records.tested import TestResult
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study

PICTURE, TABLE, FIGURES = "most_wrong.png", "predictions.csv", "test.json"

_log = logging.getLogger(__name__)
_FILES = sa.text(
    "SELECT key, value_json FROM study_system_attributes"
    " WHERE study_id = :study_id AND key LIKE 'artifacts:%'"
)


def keep_files(
    database: RDBStorage,
    artifacts: Artifacts,
    study_id: int,
    look: int,
    draw: Callable[[], Mapping[str, bytes]],
) -> None:
    """Keep the files of a look, where optuna-dashboard shows them; without them it counts too."""
    try:
        files = {_kept_name(look, name): data for name, data in draw().items()}
        attrs = picture_attrs(artifacts, files)
        for key, value in attrs.items():
            database.set_study_system_attr(study_id, key, value)
    except Exception as error:
        _log.warning("the picture and the table of look %d are not kept: %s", look, error)


def write_files(
    result: TestResult, out: Path, storage: str | None = None, artifacts: str | None = None
) -> tuple[list[Path], list[str]]:
    """Write the picture, the table and the figures of a look into a folder.

    Args:
        result: the look.
        out: the folder; made if need be. Files of these names in it are replaced.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        artifacts: where the study's files lie on this machine, if not where its spec says.

    Returns:
        The files that were written, and the names of those that were not kept.

    Raises:
        InputError: the folder cannot be written.
    """
    kept = _kept_files(result, storage, artifacts)
    figures = json.dumps(result.as_dict(), indent=2, ensure_ascii=False)
    kept[FIGURES] = figures.encode(errors="backslashreplace")
    check_folder(out)
    written = [_write(out / name, data) for name, data in kept.items()]
    return written, [name for name in (PICTURE, TABLE) if name not in kept]


def check_folder(out: Path) -> None:
    """Make the folder where files are to be written, if need be.

    Raises:
        InputError: it is no folder, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}; name a folder") from None
    if not os.access(out, os.W_OK):
        raise InputError(f"--out {out}: may not be written; name another folder")


def _kept_files(result: TestResult, storage: str | None, where: str | None) -> dict[str, bytes]:
    database = open_storage(storage)
    study = find_study(database, result.study)
    with database.engine.connect() as connection:
        rows = connection.execute(_FILES, {"study_id": study.study_id}).all()
    shown = shown_files({key: json.loads(value) for key, value in rows})
    names = {_kept_name(result.look, name): name for name in (PICTURE, TABLE)}
    place = artifacts_place(where, study.spec.checkpoints.folder)
    found: dict[str, bytes] = {}
    for filename, artifact_id in shown.items():
        if name := names.get(filename):
            try:
                data = open_artifacts(place, writable=False).read(artifact_id)
            except Exception as error:
                _log.warning("%s is not there: %s", name, described(error))
                continue
            if data is not None:
                found[name] = data
    return found


def _write(path: Path, data: bytes) -> Path:
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_bytes(data)
        half.replace(path)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise InputError(f"{path}: {error.strerror}; make room, or name another folder") from None
    return path


def _kept_name(look: int, name: str) -> str:
    return f"test-{look}-{name}"
