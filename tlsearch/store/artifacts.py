"""Files of trials (checkpoints, pictures): a folder, or a bucket that speaks S3.

Each is an artifact store of Optuna, so optuna-dashboard shows what lies there. A file is there
whole under its name or not at all, whenever a process is killed or a disk is full.
"""

import io
import json
import mimetypes
import os
import re
import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import platformdirs
from optuna.artifacts.exceptions import ArtifactNotFound

from tlsearch.errors import StorageError

ENVIRONMENT = "TLSEARCH_ARTIFACTS"
HALF_WRITTEN = ".half-written-"
LEFT_OVER_SECONDS = 24 * 3600.0  # a file that took longer to write is of a killed process
ATTEMPT_SUFFIX = ".safetensors"
_HINT = "give a folder, or s3://bucket/prefix"


class Artifacts(ABC):
    """A place of files, each under a name such as `<uuid>.safetensors`."""

    @abstractmethod
    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            ArtifactNotFound: there is none of this name.
            StorageError: the place cannot be read.
        """

    @abstractmethod
    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file, instead of one of this name.

        Raises:
            StorageError: it cannot be written; what was under the name stays.
        """

    @abstractmethod
    def remove(self, artifact_id: str) -> None:
        """Remove a file, if there is one of this name.

        Raises:
            StorageError: it cannot be removed.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all files.

        Raises:
            StorageError: the place cannot be read.
        """

    def save(self, name: str, data: bytes) -> None:
        """Write a file, as `write` does."""
        self.write(name, io.BytesIO(data))

    def read(self, name: str) -> bytes | None:
        """Return what is in a file, or None where there is none of this name."""
        try:
            with self.open_reader(name) as file, self._refusals("cannot be read"):
                return file.read()
        except ArtifactNotFound:
            return None

    @abstractmethod
    def _refusals(self, what: str) -> AbstractContextManager[None]:
        """Turn what the place refuses into a StorageError of one sentence."""


def attempt_file(token: str) -> str:
    """Return the name of the file of an attempt: its checkpoint, or the model it ended with."""
    return token + ATTEMPT_SUFFIX


def open_artifacts(where: str | None = None, *, writable: bool = True) -> Artifacts:
    """Open the place where files of trials lie.

    Args:
        where: a folder, made if need be, or `s3://bucket/prefix`; None = that of the
            variable TLSEARCH_ARTIFACTS, else a folder beside the embedded server's data.
        writable: whether files will be written, so that a place that refuses is noticed now; else
            a folder is neither made nor tried for that.

    Raises:
        StorageError: there is no such place, or it cannot be used.
    """
    where = where or os.environ.get(ENVIRONMENT) or str(default_folder())
    bucket_and_prefix = check_place(where)
    if bucket_and_prefix is None:
        return ArtifactFolder(Path(where).expanduser(), writable=writable)
    from tlsearch.store.bucket import ArtifactBucket

    return ArtifactBucket(*bucket_and_prefix)


def check_place(where: str) -> tuple[str, str] | None:
    """Return bucket and prefix where files are to lie in one, or None for a folder.

    Raises:
        StorageError: it is neither.
    """
    scheme, separator, rest = where.partition("://")
    if not separator:
        return None
    bucket, _, prefix = rest.partition("/")
    if scheme.lower() != "s3" or not bucket:
        raise StorageError(f"artifacts cannot lie in {where}: {_HINT}")
    return bucket, prefix


def artifacts_place(given: str | None, of_study: str | None) -> str | None:
    """Return where a study's files lie: what is said on this machine wins over its spec."""
    return given or os.environ.get(ENVIRONMENT) or of_study


def default_folder() -> Path:
    """Return the folder of artifacts where none is given; it need not exist."""
    return platformdirs.user_data_path("tlsearch") / "artifacts"


def check_name(name: str) -> str:
    """Return the name of a file if it is a plain one.

    Raises:
        ValueError: it leads elsewhere, or is hidden.
    """
    if not re.fullmatch(r"[\w-][\w.-]{0,199}", name):
        raise ValueError(f"{name!r} is no name of an artifact")
    return name


class ArtifactFolder(Artifacts):
    """A folder of files. What killed processes left half-written is removed after a day.

    Raises:
        StorageError: it cannot be made or used.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self._path = path.absolute()
        with self._refusals("cannot be used"):
            if writable:
                self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.stat()
            needed = os.R_OK | os.X_OK | (os.W_OK if writable else 0)
            if not os.access(self._path, needed):
                raise PermissionError(0, "no permission")
        self._sweep()

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file for reading."""
        path = self._path / check_name(artifact_id)
        with self._refusals("cannot be read"):
            try:
                return path.open("rb")
            except FileNotFoundError:
                raise ArtifactNotFound(f"{self._path} has no {artifact_id}") from None

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file, on the disk when this returns."""
        target = self._path / check_name(artifact_id)
        half = self._path / f"{HALF_WRITTEN}{uuid.uuid4().hex}"
        with self._refusals("cannot be written"):
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
        with self._refusals("cannot be written"):
            path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all files."""
        with self._refusals("cannot be read"):
            return [name for name in os.listdir(self._path) if not name.startswith(HALF_WRITTEN)]

    def _keep_name(self) -> None:
        """Have the folder's entry on the disk too, where the file system can do so."""
        folder = os.open(self._path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)

    def _sweep(self) -> None:
        oldest = time.time() - LEFT_OVER_SECONDS
        for left in self._path.glob(f"{HALF_WRITTEN}*"):
            with suppress(OSError):
                if left.stat().st_mtime < oldest:
                    left.unlink()

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            hint = "mend that, or give another folder by --artifacts or TLSEARCH_ARTIFACTS"
            raise StorageError(f"artifact folder {self._path} {what} ({why}); {hint}") from None


def remove_if_there(where: str | None, names: Iterable[str]) -> tuple[int, str | None]:
    """Remove those of some files that are there.

    Returns:
        How many there were, and why not all could be removed, if so.
    """
    try:
        artifacts = open_artifacts(where, writable=False)
        found = sorted(set(names) & set(artifacts.names()))
        for n, name in enumerate(found):
            try:
                artifacts.remove(name)
            except StorageError as error:
                return n, str(error)
    except StorageError as error:
        return 0, str(error)
    return len(found), None


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
