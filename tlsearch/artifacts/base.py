"""The place of trials' files: an artifact store of Optuna, which optuna-dashboard can show.

A file is there whole under its name or not at all, whenever a process is killed or a disk is full.
"""

import io
import re
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import BinaryIO

ATTEMPT_SUFFIX = ".safetensors"


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
        from optuna.artifacts.exceptions import ArtifactNotFound  # loads boto3, which is slow

        try:
            with self.open_reader(name) as file, self._as_storage_errors("cannot be read"):
                return file.read()
        except ArtifactNotFound:
            return None

    @abstractmethod
    def _as_storage_errors(self, what: str) -> AbstractContextManager[None]:
        """Turn errors of the place into a StorageError of one sentence."""


def attempt_file(token: str) -> str:
    """Return the name of the file of an attempt: its checkpoint, or the model it ended with."""
    return token + ATTEMPT_SUFFIX


def check_name(name: str) -> str:
    """Return the name of a file if it is a plain one.

    Raises:
        ValueError: it leads elsewhere, or is hidden.
    """
    if not re.fullmatch(r"[\w-][\w.-]{0,199}", name):
        raise ValueError(f"{name!r} is no name of an artifact")
    return name
