"""Reads the labels of a manifest's rows: one an image, or several."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tlsearch.data.reading import listed
from tlsearch.data.references import TRAIN, Label
from tlsearch.data.scan import composed
from tlsearch.data.tables import ITEMS, Table
from tlsearch.errors import DataError
from tlsearch.records.format import LABEL_SEPARATOR
from tlsearch.spec import ColumnsSpec, DataSpec

_SEPARATORS = (ITEMS, LABEL_SEPARATOR, ";")
_MARKS = {"1": True, "true": True, "0": False, "false": False}


def label_columns(columns: ColumnsSpec) -> tuple[str, ...]:
    """Return the names of the columns that hold labels."""
    return tuple(columns.labels) or (columns.label,)


def labels_of_rows(
    table: Table, spec: DataSpec, splits: Sequence[str] | None, *, strict: bool
) -> tuple[tuple[str, ...], list[Label]]:
    """Return the names of the classes, and the label of each row.

    Classes are ordered by name, or by value where all are whole numbers; those of columns of 0 and
    1 as the spec names them.

    Args:
        table: which has the columns of labels.
        spec: for their names, and whether an image may have several labels, or none.
        splits: of each row; None where the images are still to be split.
        strict: whether several labels in a cell are refused where an image has one.

    Raises:
        DataError: a label is empty, is no label, or no training image has it.
    """
    if spec.columns.labels:
        names: list[list[str]] = _marked(table, [*spec.columns.labels])
        classes = tuple(map(composed, spec.columns.labels))
        _refuse_untrained(table, names, splits, classes)
    else:
        (column,) = label_columns(spec.columns)
        cells = table.column(column)
        if spec.multi_label:
            between = spec.columns.label_separator or LABEL_SEPARATOR
            names = [list(_parts(cell, between)) for cell in cells]
        else:
            if strict:
                _refuse_several(table, column, cells)
            refuse_empty(table, column, cells, "give each image a class, or drop its row")
            names = [[composed(cell)] for cell in cells]
        _refuse_untrained(table, names, splits)
        classes = _ordered({name for row in names for name in row})
    numbers = {name: k for k, name in enumerate(classes)}
    found = [tuple(sorted({numbers[name] for name in row})) for row in names]
    return classes, [each if spec.multi_label else each[0] for each in found]


def refuse_empty(table: Table, name: str, cells: Sequence[str], advice: str) -> None:
    """Refuse empty cells of a column.

    Raises:
        DataError: there are some.
    """
    empty = [table.place(index) for index, cell in enumerate(cells) if not cell]
    if empty:
        raise DataError(f"{table.where}: the column {name!r} is empty in {listed(empty)}; {advice}")


def _parts(cell: str, between: str) -> Iterator[str]:
    """Yield the labels in a cell; a list of a Parquet file has them one by one."""
    for part in cell.split(ITEMS if ITEMS in cell else between):
        if name := part.strip():
            yield composed(name)


def _marked(table: Table, columns: Sequence[str]) -> list[list[str]]:
    """Return of each row the columns that have a 1."""
    names: list[list[str]] = [[] for _ in table.rows]
    for column in columns:
        marks = [_MARKS.get(cell.lower().removesuffix(".0")) for cell in table.column(column)]
        odd = [f"{table.column(column)[k]!r} ({table.place(k)})" for k in _places_of(None, marks)]
        if odd:
            raise DataError(
                f"{table.where}: the column {column!r} of data.columns.labels has {listed(odd)}; "
                "write 1 where an image has the label, and 0 elsewhere"
            )
        for row in _places_of(True, marks):
            names[row].append(composed(column))
    return names


def _places_of(wanted: bool | None, marks: Sequence[bool | None]) -> list[int]:
    return [k for k, mark in enumerate(marks) if mark is wanted]


def _refuse_several(table: Table, column: str, cells: Sequence[str]) -> None:
    """Refuse cells of several labels: those whose parts are labels of other rows, too."""
    for between in _SEPARATORS:
        parts = {cell: list(_parts(cell, between)) for cell in set(cells)}
        several = {cell: found for cell, found in parts.items() if len(found) > 1}
        alone = {name for cell, found in parts.items() if cell not in several for name in found}
        uses = Counter(name for found in several.values() for name in set(found))
        shared = alone | {name for name, n in uses.items() if n > 1}
        for k, cell in enumerate(cells):
            found = set(several.get(cell, ()))
            if found and (between == ITEMS or (found <= shared and found & alone)):
                shown = " and ".join(map(repr, several[cell][:2]))
                sets = "data.multi_label = true"
                sets += ' and data.columns.label_separator = ";"' if between == ";" else ""
                raise DataError(
                    f"{table.where}: {table.place(k)} has several labels in the column {column!r}: "
                    f"{shown}; set {sets}, or give each image one label"
                )


def _refuse_untrained(
    table: Table,
    names: Sequence[Sequence[str]],
    splits: Sequence[str] | None,
    classes: Sequence[str] = (),
) -> None:
    """Refuse labels that no training image has."""
    trained = {
        name for k, row in enumerate(names) for name in row if not splits or splits[k] == TRAIN
    }
    if splits:
        elsewhere = {
            (name, splits[k]) for k, row in enumerate(names) for name in row if name not in trained
        }
        if elsewhere:
            shown = listed(f"{name!r} (in {split})" for name, split in sorted(elsewhere))
            raise DataError(
                f"{table.where}: has labels that no training image has: {shown}; add training "
                "images of them, or drop their rows"
            )
    if nowhere := [repr(name) for name in classes if name not in trained]:
        raise DataError(
            f"{table.where}: no training image has the label {listed(nowhere)} of "
            "data.columns.labels; add images, or leave the column out"
        )


def _ordered(names: set[str]) -> tuple[str, ...]:
    """Return classes in order: by name, or by value where all of them are whole numbers."""
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))
