"""Files that stand for others, or are something else under that name."""

from pathlib import Path

from tlsearch.data.formats import kind_by_content

_BYTES = 512


def what_instead(path: Path) -> str | None:
    """Say what a file holds instead of its content, and what to do; None where nothing is known.

    Raises nothing: a file that cannot be read is none of these.
    """
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            begin = file.read(_BYTES)
    except OSError:
        return None
    return _what_begins(begin)


def _what_begins(begin: bytes) -> str | None:
    if not begin:
        return "is empty; copy or download it again"
    if begin.startswith(b"version https://git-lfs.github.com/spec/"):
        return "is a Git LFS pointer, not the file itself; run git lfs pull where it lies"
    if begin.startswith((b"/annex/objects/", b"../.git/annex/", b".git/annex/")):
        return "is a git-annex pointer, not the file itself; run git annex get where it lies"
    if begin.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page, not the file itself; download it again"
    kind = kind_by_content(begin)
    return None if kind is None else f"is a {kind.one}, which Pillow cannot open; {kind.advice}"
