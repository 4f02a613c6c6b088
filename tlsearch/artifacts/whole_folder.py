"""A folder that is there whole under its name, or not at all."""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tlsearch.artifacts.folder import HALF_WRITTEN, STALE_AFTER_SECONDS

_REPLACED = ".replaced-"
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOTSUP)  # not every file system can do so
_NAME_LENGTH = 100  # characters of the folder's name in the names beside it


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write into; it takes that name when the block ends well.

    What was under the name is removed then, and stays if anything fails. After an error nothing of
    the new folder is left; what a killed process left beside `out` is removed after a day.

    Args:
        out: an absolute path.

    Raises:
        OSError: it cannot be written: a full disk, say.
    """
    name, number = f".{out.name[:_NAME_LENGTH]}", uuid.uuid4().hex
    half, former = (out.with_name(f"{name}{mark}{number}") for mark in (HALF_WRITTEN, _REPLACED))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_folders(out.parent, name)
        half.mkdir()
        yield half
        _keep(half)
        _put(half, out, former)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _remove_stale_folders(parent: Path, name: str) -> None:
    oldest = time.time() - STALE_AFTER_SECONDS
    beginnings = tuple(f"{name}{mark}" for mark in (HALF_WRITTEN, _REPLACED))
    for path in parent.iterdir():
        if path.name.startswith(beginnings) and path.is_dir() and path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)


def _put(half: Path, out: Path, former: Path) -> None:
    """Give a folder its name; the one that had it goes, and comes back if this fails."""
    if not out.exists():
        half.rename(out)
    else:
        out.rename(former)
        try:
            half.rename(out)
        except BaseException:
            former.rename(out)
            raise
        shutil.rmtree(former, ignore_errors=True)
    with suppress(OSError):  # it is there
        _sync(out.parent)


def _keep(folder: Path) -> None:
    """Have all of a folder on the disk."""
    for current, _, files in os.walk(folder):
        for name in files:
            _sync(Path(current) / name)
        _sync(Path(current))


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(number)
