"""Files of trials in a folder."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tlsearch.artifacts.base import Artifacts, check_name
from tlsearch.errors import StorageError

HALF_WRITTEN = ".half-written-"
STALE_AFTER_SECONDS = 24 * 3600.0  # a file that takes longer to write belongs to a killed process


class ArtifactFolder(Artifacts):
    """A folder of files. Half-written files of killed processes are removed after a day.

    Raises:
        StorageError: it cannot be made or used.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self._path = path.absolute()
        with self._as_storage_errors("cannot be used"):
            if writable:
                self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.stat()
            needed = os.R_OK | os.X_OK | (os.W_OK if writable else 0)
            if not os.access(self._path, needed):
                raise PermissionError(0, "no permission")
        self._remove_stale_files()

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file for reading."""
        path = self._path / check_name(artifact_id)
        with self._as_storage_errors("cannot be read"):
            try:
                return path.open("rb")
            except FileNotFoundError:
                from optuna.artifacts.exceptions import ArtifactNotFound  # loads boto3: slow

                raise ArtifactNotFound(f"{self._path} has no {artifact_id}") from None

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file, on the disk when this returns."""
        target = self._path / check_name(artifact_id)
        half = self._path / f"{HALF_WRITTEN}{uuid.uuid4().hex}"
        with self._as_storage_errors("cannot be written"):
            try:
                with half.open("xb") as file:
                    shutil.copyfileobj(content_body, file)
                    file.flush()
                    os.fsync(file.fileno())
                half.replace(target)
            except BaseException:
                with suppress(OSError):
                    half.unlink()
                raise
            self._keep_name()

    def remove(self, artifact_id: str) -> None:
        """Remove a file, if it is there."""
        path = self._path / check_name(artifact_id)
        with self._as_storage_errors("cannot be written"):
            path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all files."""
        with self._as_storage_errors("cannot be read"):
            return [name for name in os.listdir(self._path) if not name.startswith(HALF_WRITTEN)]

    def _keep_name(self) -> None:
        """Have the folder's entry on the disk too, where the file system can do so."""
        folder = os.open(self._path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)

    def _remove_stale_files(self) -> None:
        oldest = time.time() - STALE_AFTER_SECONDS
        for half in self._path.glob(f"{HALF_WRITTEN}*"):
            with suppress(OSError):
                if half.stat().st_mtime < oldest:
                    half.unlink()

    @contextmanager
    def _as_storage_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            hint = "fix it, or give another folder by --artifacts or TLSEARCH_ARTIFACTS"
            raise StorageError(f"artifact folder {self._path} {what} ({why}); {hint}") from None
