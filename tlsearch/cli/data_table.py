"""The images of a study for people: classes and their numbers, and what was passed over."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tlsearch.errors import on_one_line

if TYPE_CHECKING:
    from tlsearch.data import Catalog, PassedOver, Unread

_FIRST, _LAST = 12, 3  # classes that are shown of many
_WIDEST = 40  # of a name, characters
_NAMES = 3
_UNREAD = 10  # images
_INDENT = " " * 10


def class_lines(catalog: "Catalog") -> list[str]:
    """Return a table of the classes with their numbers a split; of many the first and last."""
    rows = [(_shown(name), *map(str, counts)) for name, counts in catalog.counts().items()]
    if len(rows) > _FIRST + _LAST + 1:
        left = len(rows) - _FIRST - _LAST
        rows = [*rows[:_FIRST], (f"... {left} more", "", "", ""), *rows[-_LAST:]]
    rows = [("class", "train", "val", "test"), *rows]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return [
        f"{_INDENT}{row[0]:<{widths[0]}}  "
        + "  ".join(f"{number:>{width}}" for number, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def passed_lines(passed: "Sequence[PassedOver]") -> list[str]:
    """Return a line for each kind of files that were passed over."""
    return [f"{_INDENT}passed over: {line}" for line in _passed(passed)]


def left_out_lines(left_out: "Sequence[tuple[str, Unread]]") -> list[str]:
    """Return a line for the images that cannot be read, and one for each of the first."""
    if not left_out:
        return []
    number = "1 image" if len(left_out) == 1 else f"{len(left_out)} images"
    shown = [on_one_line(f"{name} ({image.reason})") for name, image in left_out[:_UNREAD]]
    more = [f"and {len(left_out) - _UNREAD} more"] if len(left_out) > _UNREAD else []
    lines = [f"left out: {number} that cannot be read (data.max_bad_fraction)", *shown, *more]
    return [_INDENT + line for line in lines]


def _passed(passed: "Sequence[PassedOver]") -> Iterator[str]:
    for each in passed:
        names = on_one_line(", ".join(each.names[:_NAMES]))
        names += ", ..." if len(each.names) > _NAMES else ""
        advice = f"; {each.kind.advice}" if each.kind.advice else ""
        yield f"{each.text} ({names}){advice}"


def _shown(name: str) -> str:
    odd = name != name.strip() or not name.isprintable()
    name = repr(name) if odd else name
    return name if len(name) <= _WIDEST else f"{name[: _WIDEST - 3]}..."
