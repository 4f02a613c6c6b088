"""Writes a report's folder whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tlsearch.artifacts import whole_folder
from tlsearch.errors import InputError

MARKER = ".tlsearch-report.json"  # says that a folder is a report: of which study, which files
_FULL = "make room, or give another folder"


def check_folder(out: Path, study: str, force: bool) -> None:
    """Refuse a place where a report cannot go, before anything is computed.

    A folder that is not there or is empty will do, and so does an earlier report of the study, if
    nothing was added to it. `force` also replaces another study's report, and one with additions.

    Raises:
        InputError: something else is there.
    """
    try:
        if not os.path.lexists(out):
            return
        if out.is_symlink() or not out.is_dir():
            raise InputError(f"{out}: is no folder; give another place for the report")
        names = {name.relative_to(out).as_posix() for name in out.rglob("*") if not name.is_dir()}
    except OSError as error:
        raise _unusable(out, error) from None
    if not names and not any(out.iterdir()):
        return
    found = _marker(out)
    if found is None:
        raise InputError(f"{out}: holds something that is no report; give a new or an empty folder")
    of, files = found
    if of != study and not force:
        raise InputError(
            f"{out}: holds the report of study {of!r}; give another folder, or replace it by "
            "--force"
        )
    if (added := sorted(names - files - {MARKER})) and not force:
        raise InputError(
            f"{out}: holds {added[0]!r}, which is no part of the report there; move it away, or "
            "replace the whole folder by --force"
        )


def write_folder(out: Path, study: str, files: Mapping[str, bytes], force: bool) -> None:
    """Write files into a folder beside `out`, and put it into its place.

    Args:
        out: the folder; see `check_folder` for what may be there.
        study: the study's name.
        files: contents by path within the folder.
        force: see `check_folder`.

    Raises:
        InputError: it cannot be written; what was there stays.
    """
    marker = {"study": study, "files": sorted(files)}
    try:
        with whole_folder(out) as half:
            for name, data in {**files, MARKER: json.dumps(marker).encode()}.items():
                path = half / PurePosixPath(name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
            check_folder(out, study, force)  # once more: computing took a while
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out}: is inside something that is no folder; give another") from None
    except OSError as error:
        raise _unusable(out, error) from None


def _marker(out: Path) -> tuple[str, set[str]] | None:
    """Return the study and the files of a report; None where a folder is none."""
    try:
        found = json.loads((out / MARKER).read_text(encoding="utf-8"))
        return str(found["study"]), set(map(str, found["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unusable(out: Path, error: OSError) -> InputError:
    return InputError(
        f"{out}: cannot be written ({error.strerror or type(error).__name__}); {_FULL}"
    )
