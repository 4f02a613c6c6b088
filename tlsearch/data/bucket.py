"""Fetches images from a bucket that speaks S3, each once, into the user's cache.

Keys, region and address are boto3's: ~/.aws, AWS_PROFILE, AWS_ENDPOINT_URL_S3 and so on. An object
is kept under a hash of its address, ETag and size, so what changes in the bucket is fetched again.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tlsearch.data.cache import cache_folder
from tlsearch.data.formats import opens
from tlsearch.data.reading import tell_read
from tlsearch.errors import DataError, first_line
from tlsearch.spec import S3

_THREADS = 16
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_GONE = ("404", "NoSuchKey", "NotFound")
_WORDS = {  # by code of the server
    **dict.fromkeys(
        ("NoSuchBucket", *_GONE),
        "there is no such bucket; check its name and AWS_ENDPOINT_URL_S3",
    ),
    **dict.fromkeys(
        ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden"),
        f"access to the bucket is denied; check {_KEYS}",
    ),
    **dict.fromkeys(
        ("412", "PreconditionFailed"),
        "an object was changed while it was fetched; run the command again",
    ),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in a bucket.

    Attributes:
        bucket, key: its address.
        etag: changes with its content.
        size: bytes.
    """

    bucket: str
    key: str
    etag: str
    size: int

    def kept_at(self, endpoint: str) -> Path:
        """Return where it is kept once it is fetched."""
        parts = (endpoint, self.bucket, self.key, self.etag, str(self.size))
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        suffix = PurePosixPath(self.key).suffix[:16]
        return _objects() / digest[:2] / f"{digest}{suffix}"


def parts_of(url: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`.

    Raises:
        DataError: it is no such address.
    """
    bucket, _, key = url.removeprefix(S3).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise DataError(f"an address in data.path or a manifest is not {S3}BUCKET/KEY; correct it")
    return bucket, key


def fetch_tree(url: str) -> Path:
    """Fetch all images below an address, and return a folder that has them under their names.

    Files that are no images by their names are there, but empty. The folder is of this very
    content: another listing of the bucket makes another one.

    Raises:
        DataError: the bucket cannot be read, there is nothing, or the cache cannot be written.
    """
    bucket, prefix = parts_of(url)
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    with _as_data_errors(url):
        client = _client(url)
        endpoint = str(client.meta.endpoint_url)
        found = list(_listing(client, bucket, prefix))
        if not found:
            raise DataError(
                f"{url}: there is nothing below; check the bucket's folder in data.path"
            )
        names = [_plain_name(url, each.key.removeprefix(prefix)) for each in found]
        text = "\n".join(f"{each.key}\0{each.etag}\0{each.size}" for each in found)
        digest = hashlib.sha256(f"{endpoint}\n{bucket}\n{prefix}\n{text}".encode()).hexdigest()
        target = _objects() / "trees" / digest
        if not target.is_dir():
            images = [each for each in found if opens(PurePosixPath(each.key).suffix.lower())]
            kept = _fetch(client, endpoint, images)
            _plant(url, target, zip(names, [kept.get(each) for each in found], strict=True))
    return target


def fetch_files(urls: Sequence[str], where: str) -> dict[str, Path | None]:
    """Fetch objects by their addresses; None for those that are not there.

    Raises:
        DataError: a bucket cannot be read, or the cache cannot be written.
    """
    if not urls:
        return {}
    with _as_data_errors(where):
        client = _client(where)
        places = {url: parts_of(url) for url in urls}
        with ThreadPoolExecutor(_THREADS) as threads:
            heads = list(threads.map(lambda url: _head(client, *places[url]), urls))
        found = {url: head for url, head in zip(urls, heads, strict=True) if head is not None}
        kept = _fetch(client, str(client.meta.endpoint_url), list(found.values()))
    return {url: kept[found[url]] if url in found else None for url in urls}


def _objects() -> Path:
    return cache_folder().parent / "objects"


def _listing(client: Any, bucket: str, prefix: str) -> Iterator[Stored]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # else it stands for a folder
                yield Stored(bucket, entry["Key"], entry["ETag"], entry["Size"])


def _head(client: Any, bucket: str, key: str) -> Stored | None:
    from botocore.exceptions import ClientError

    try:
        head = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if _code(error) not in _GONE:
            raise
        client.head_bucket(Bucket=bucket)  # whose absence is another fault
        return None
    return Stored(bucket, key, head["ETag"], head["ContentLength"])


def _plain_name(url: str, name: str) -> PurePosixPath:
    """Return the name of an object inside the folder, where it can be that of a file."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise DataError(
            f"{url}: has an object whose name is no path of a file ({name!r}); rename it"
        )
    return PurePosixPath(name)


def _fetch(client: Any, endpoint: str, objects: Sequence[Stored]) -> dict[Stored, Path]:
    """Fetch what is not there yet, in threads."""
    kept = {each: each.kept_at(endpoint) for each in objects}
    new = [each for each in kept if not _is_there(kept[each], each.size)]
    with ThreadPoolExecutor(_THREADS) as threads:
        for n, _ in enumerate(threads.map(lambda each: _download(client, each, kept[each]), new)):
            tell_read(n + 1, len(new))
    return kept


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _download(client: Any, each: Stored, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, half = tempfile.mkstemp(dir=path.parent, prefix=".half-")
    try:
        with os.fdopen(handle, "wb") as file:
            body = client.get_object(Bucket=each.bucket, Key=each.key, IfMatch=each.etag)["Body"]
            for chunk in body.iter_chunks(1 << 20):
                file.write(chunk)
        os.replace(half, path)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise


def _plant(url: str, target: Path, files: Iterator[tuple[PurePosixPath, Path | None]]) -> None:
    """Make a folder of links to what was fetched; it is there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".half-") as half:
        tree = Path(half, "tree")
        for name, kept in files:
            place = tree / name
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise DataError(
                    f"{url}: {name.parent} is an object and a folder at once; rename one of them"
                ) from None
            if kept is None:
                place.touch()
            else:
                os.link(kept, place)
        try:
            os.rename(tree, target)
        except OSError:
            if not target.is_dir():  # else another process has made the same
                raise


def _client(where: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise DataError(
            f"{where}: is in a bucket, which needs boto3; install it (tlsearch[s3])"
        ) from None
    limits = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"total_max_attempts": 3},
        max_pool_connections=_THREADS,
    )
    return boto3.session.Session().client("s3", config=limits)  # reads the environment anew


@contextmanager
def _as_data_errors(where: str) -> Iterator[None]:
    """Turn errors of the bucket and of the cache into one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{where}: cannot be kept in {_objects()} ({error.strerror or first_line(error)}); "
            "make room there, or set XDG_CACHE_HOME"
        ) from None
    except Exception as error:
        said = _sentence(error)
        if said is None:
            raise
        raise DataError(f"{where}: {said}") from None


def _sentence(error: Exception) -> str | None:
    """Return what an error of boto3 means and what to do; None where it is none of boto3's."""
    try:
        from boto3.exceptions import Boto3Error
        from botocore import exceptions
    except ImportError:
        return None
    missing = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)
    if isinstance(error, (*missing, exceptions.ProfileNotFound)):
        return f"there are no credentials for the bucket; set {_KEYS}"
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return (
            f"the bucket cannot be reached ({first_line(error)}); check the network and "
            "AWS_ENDPOINT_URL_S3"
        )
    code = _code(error) if isinstance(error, exceptions.ClientError) else ""
    if code in _WORDS:
        return _WORDS[code]
    if isinstance(error, Boto3Error | exceptions.BotoCoreError | exceptions.ClientError):
        return f"the bucket cannot be read ({first_line(error)}); check its name, region and keys"
    return None


def _code(error: Any) -> str:
    response: Mapping[str, Any] = error.response
    return str(response.get("Error", {}).get("Code", ""))
