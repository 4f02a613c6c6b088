"""Reads a table of text, CSV or Parquet: a name for each column and a cell for each row."""

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlsearch.data.pointers import what_instead
from tlsearch.data.reading import listed
from tlsearch.errors import DataError, first_line
from tlsearch.spec import decoded

_PARQUET = b"PAR1"
_DELIMITERS = (",", ";", "\t")
ITEMS = "\x1f"  # between the items of a list in one cell of a Parquet file; no text has it
_AS_CSV = "or save the table as CSV"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read; every cell is text without white space around it.

    Attributes:
        where: the file, for messages.
        header: the names of the columns, each once.
        rows: the cells of each row, as many as there are columns.
        numbers: of each row, as `row_name` is counted.
        row_name: `line` of a file of text, `row` of others.
    """

    where: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    row_name: str

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]

    def place(self, index: int) -> str:
        """Return `line 7`, of the row with this index."""
        return f"{self.row_name} {self.numbers[index]}"


def read_table(path: Path, key_column: str) -> Table:
    """Read a table.

    Text is UTF-8, or UTF-16 or UTF-32 that begins with a byte order mark; commas, semicolons or
    tabs separate its cells.

    Args:
        path: a Parquet file, or one of text.
        key_column: a column that it should have; by it the separator is found.

    Raises:
        DataError: it cannot be read, is of another kind, a column is named twice, a row has too few
            or too many cells, or there are no rows.
    """
    content = _content(path)
    if content.startswith(_PARQUET):
        table = _parquet(path, content)
    else:
        table = _text(path, _as_text(path, content), key_column)
    twice = [repr(name) for name, n in Counter(table.header).items() if n > 1]
    if twice:
        raise DataError(f"{path}: has the column {listed(twice)} twice; give each its own name")
    if not table.rows:
        raise DataError(f"{path}: has no rows below its header; add one for each image")
    return table


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give read permission"
        ) from None
    if instead := what_instead(path):
        raise DataError(f"{path}: {instead}")
    return content


def _as_text(path: Path, content: bytes) -> str:
    try:
        text = decoded(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: is not UTF-8 (line {line} has the byte 0x{content[error.start]:02x}); save "
            "it as UTF-8"
        ) from None
    if "\0" in text:
        raise DataError(f"{path}: has NUL characters, so it is no text; save it as CSV in UTF-8")
    return text


def _text(path: Path, text: str, key_column: str) -> Table:
    first = next(iter(text.splitlines()), "")
    found = [
        mark
        for mark in _DELIMITERS
        if key_column in _cells(next(csv.reader([first], delimiter=mark)))
    ]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=found[0] if found else ",", strict=True
    )
    rows: list[tuple[str, ...]] = []
    numbers: list[int] = []
    begin = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(_cells(row))
                numbers.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}: line {begin} is not CSV ({first_line(error)}); close its quotes, or write "
            "the file again"
        ) from None
    if not rows:
        raise DataError(f"{path}: has no rows; begin it with a line of column names")
    _check_widths(path, rows, numbers)
    return Table(str(path), rows[0], tuple(rows[1:]), tuple(numbers[1:]), "line")


def _cells(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row)


def _check_widths(path: Path, rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> None:
    odd = [(n, row) for n, row in zip(numbers, rows, strict=True) if len(row) != len(rows[0])]
    if odd:
        number, row = odd[0]
        more = f" (and {len(odd) - 1} more lines)" if len(odd) > 1 else ""
        raise DataError(
            f"{path}: line {number} has {_n_cells(len(row))} and the header {len(rows[0])}{more}; "
            "put text that holds the separator into double quotes"
        )


def _n_cells(n: int) -> str:
    return "1 cell" if n == 1 else f"{n} cells"


def _parquet(path: Path, content: bytes) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"{path}: is a Parquet file, which needs pyarrow; install it (tlsearch[parquet]), "
            f"{_AS_CSV}"
        ) from None
    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(content)).read()
        columns = [_texts(column) for column in table.columns]
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: is not a readable Parquet file ({first_line(error)}); write it again, "
            f"{_AS_CSV}"
        ) from None
    rows = tuple(zip(*columns, strict=True))
    return Table(str(path), tuple(table.column_names), rows, tuple(range(1, len(rows) + 1)), "row")


def _texts(column: Any) -> list[str]:
    """Return a column's cells: text, numbers, truth, and lists of such; of others none is read."""
    if _is_plain(column.type):
        return [_cell(value) for value in column.to_pylist()]
    if _is_list(column.type):
        return [ITEMS.join(map(_cell, value or ())) for value in column.to_pylist()]
    return [""] * len(column)


def _cell(value: Any) -> str:
    if isinstance(value, float):  # whole numbers with gaps become these
        return "" if math.isnan(value) else f"{value:.17g}"
    return "" if value is None else str(value).strip()


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_plain(kind.value_type)


def _is_plain(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_boolean,
            pa.types.is_null,
        )
    )
