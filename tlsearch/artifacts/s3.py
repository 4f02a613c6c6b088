"""Files of trials in a bucket that speaks S3, by Optuna's own store for it.

Keys, region and address are boto3's: ~/.aws, AWS_PROFILE, AWS_ENDPOINT_URL_S3 and so on. An upload
is seen whole or not at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from optuna.artifacts import Boto3ArtifactStore

from tlsearch.artifacts.base import Artifacts, check_name
from tlsearch.errors import StorageError

_HINT = (
    "check the bucket's name, AWS_ENDPOINT_URL_S3 and the keys, which must allow ListBucket, "
    "GetObject, PutObject and DeleteObject"
)


class ArtifactBucket(Artifacts):
    """The files of a bucket under a prefix.

    Raises:
        StorageError: boto3 is not installed, or the bucket cannot be used.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._where = f"s3://{bucket}/{self._prefix}"
        with self._as_storage_errors("cannot be used"):
            self._client = _client()
            self._client.head_bucket(Bucket=bucket)
            self._store = Boto3ArtifactStore(bucket, self._client)
        self._bucket = bucket

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file for reading."""
        key = self._key(artifact_id)
        with self._as_storage_errors("cannot be read"):
            return self._store.open_reader(key)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file."""
        key = self._key(artifact_id)
        with self._as_storage_errors("cannot be written"):
            self._store.write(key, content_body)

    def remove(self, artifact_id: str) -> None:
        """Remove a file, if it is there."""
        key = self._key(artifact_id)
        with self._as_storage_errors("cannot be written"):
            self._store.remove(key)

    def names(self) -> list[str]:
        """Return the names of all files."""
        with self._as_storage_errors("cannot be read"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
            )
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return [key.removeprefix(self._prefix) for key in keys]

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    @contextmanager
    def _as_storage_errors(self, what: str) -> Iterator[None]:
        refused = _errors()
        try:
            yield
        except refused as error:
            words = " ".join(str(error).split())
            raise StorageError(f"{self._where} {what}: {words}; {_HINT}") from None


def _client() -> Any:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 5})
    return boto3.client("s3", config=limits)


def _errors() -> tuple[type[Exception], ...]:
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise StorageError(
            "artifacts in s3:// need boto3, which is not installed: pip install boto3, or "
            "give a folder"
        ) from None
    return Boto3Error, BotoCoreError, ClientError, ValueError
