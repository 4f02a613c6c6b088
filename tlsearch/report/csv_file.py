"""CSV files that are safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def as_csv(rows: Iterable[Iterable[object]]) -> bytes:
    """Return a CSV file in UTF-8, the heading first.

    A text that a spreadsheet would run as a formula gets a `'` in front. Characters that UTF-8 has
    not, of odd file names, are written as escapes.
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(map(_safe, row) for row in rows)
    return file.getvalue().encode(errors="backslashreplace")


def _safe(cell: object) -> object:
    is_formula = isinstance(cell, str) and cell.startswith(_FORMULA) and not _is_number(cell)
    return f"'{cell}" if is_formula else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "-"
    return True
