"""Where an export may go, and a folder for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tlsearch.artifacts import whole_folder
from tlsearch.errors import ExportError
from tlsearch.predict.exported import NAME, read_exported


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

    See `whole_folder`.

    Raises:
        ExportError: it cannot be written: a full disk, say.
    """
    try:
        with whole_folder(out.absolute()) as half:
            yield half
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ExportError(
            f"{out}: cannot be written ({why}); make room or name another folder with --out; "
            "nothing was left there"
        ) from error
