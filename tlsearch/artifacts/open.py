"""Opens the place of trials' files that a user named: a folder, or a bucket that speaks S3."""

import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from tlsearch.artifacts.base import Artifacts
from tlsearch.artifacts.folder import ArtifactFolder
from tlsearch.errors import StorageError

ENVIRONMENT = "TLSEARCH_ARTIFACTS"
_HINT = "give a folder, or s3://bucket/prefix"


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
    from tlsearch.artifacts.s3 import ArtifactBucket

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
