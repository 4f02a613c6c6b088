"""Files of trials for optuna-dashboard, from every folder or bucket that studies name."""

import logging
import os
from collections.abc import Sequence
from typing import BinaryIO

from optuna.storages import RDBStorage

from tlsearch.artifacts import ENVIRONMENT, Artifacts, default_folder, open_artifacts
from tlsearch.dashboard.study_storage import folders_of_specs
from tlsearch.errors import StorageError

_log = logging.getLogger(__name__)


class CombinedArtifactStore:
    """An artifact store of Optuna over several; new files are written to the first."""

    def __init__(self, stores: Sequence[Artifacts]) -> None:
        self._stores = stores

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file, or answer the request with 404."""
        from bottle import HTTPError
        from optuna.artifacts.exceptions import ArtifactNotFound

        for store in self._stores:
            try:
                return store.open_reader(artifact_id)
            except ArtifactNotFound:
                continue
            except StorageError as error:
                raise HTTPError(503, str(error)) from None
        raise HTTPError(404, "this file is in none of the folders that the dashboard reads")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file."""
        self._stores[0].write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Remove a file, if it is there."""
        for store in self._stores:
            store.remove(artifact_id)


def open_stores(storage: RDBStorage, given: str | None, read_only: bool) -> list[Artifacts]:
    """Open the artifact stores: the given one, or those that the studies' specs name.

    Args:
        storage: the database with the specs.
        given: a folder or s3://bucket/prefix; None = the environment's, if it is set.
        read_only: whether nothing will be written.

    Raises:
        StorageError: the given one cannot be used.
    """
    if given or os.environ.get(ENVIRONMENT):
        return [open_artifacts(given, writable=not read_only)]
    own = [open_artifacts()] if not read_only or default_folder().exists() else []
    named = []
    for folder in folders_of_specs(storage):
        try:
            named.append(open_artifacts(folder, writable=False))
        except StorageError as error:
            _log.warning("files of some studies cannot be shown: %s", error)
    return own + named
