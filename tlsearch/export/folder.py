"""A folder that is there whole under its name, or not at all."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tlsearch.errors import ExportError
from tlsearch.predict.exported import NAME, read_exported

_HALF_WRITTEN, _REPLACED = ".half-written-", ".replaced-"
_STALE_AFTER_SECONDS = 24 * 3600.0  # an export that takes longer was killed


def check_out(out: Path, study: str, *, force: bool) -> None:
    """Refuse a folder that holds something.

    Args:
        out: where a model is to go.
        study: that it is of.
        force: whether an earlier export of the same study may be replaced.

    Raises:
        ExportError: the folder is not free.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ExportError(f"{out}: is there and is no folder; name another one with --out")
    try:
        if not out.is_dir() or not any(out.iterdir()):
            return
    except OSError as error:
        raise ExportError(f"{out}: cannot be read ({error.strerror}); name another one") from None
    if not (out / NAME).is_file():
        raise ExportError(f"{out}: holds something else; name a new or an empty folder with --out")
    earlier = read_exported(out).study
    if earlier != study:
        raise ExportError(f"{out}: holds a model of study {earlier!r}; name another folder")
    if not force:
        raise ExportError(
            f"{out}: holds an earlier export of study {study!r}; replace it with --force, or name "
            "another folder"
        )


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write into; it takes that name when the block ends well.

    What was under the name is removed then. After an error nothing of it is left; what a killed
    process left beside `out` is removed after a day.

    Raises:
        ExportError: it cannot be written: a full disk, say.
    """
    out = out.absolute()
    half = out.with_name(f".{out.name}{_HALF_WRITTEN}{uuid.uuid4().hex}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_folders(out)
        half.mkdir()
        yield half
        _keep(half)
        _put(half, out)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ExportError(
            f"{out}: cannot be written ({why}); make room or name another folder with --out; "
            "nothing was left there"
        ) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _remove_stale_folders(out: Path) -> None:
    oldest = time.time() - _STALE_AFTER_SECONDS
    beginnings = tuple(f".{out.name}{mark}" for mark in (_HALF_WRITTEN, _REPLACED))
    for path in out.parent.iterdir():
        if path.name.startswith(beginnings) and path.is_dir() and path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)


def _put(half: Path, out: Path) -> None:
    """Give a folder its name; the one that had it goes, and comes back if this fails."""
    if not out.exists():
        half.rename(out)
    else:
        former = out.with_name(f".{out.name}{_REPLACED}{uuid.uuid4().hex}")
        out.rename(former)
        try:
            half.rename(out)
        except BaseException:
            former.rename(out)
            raise
        shutil.rmtree(former, ignore_errors=True)
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
        with suppress(OSError):  # not every file system can do so
            os.fsync(number)
    finally:
        os.close(number)
