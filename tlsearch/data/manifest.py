"""Reads a manifest: a table with a row for each image, its path, its label, perhaps its split."""

import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from unicodedata import normalize

from tlsearch.data.bucket import fetch_files
from tlsearch.data.formats import COLUMNS
from tlsearch.data.labels import label_columns, labels_of_rows, refuse_empty
from tlsearch.data.reading import listed
from tlsearch.data.references import ALL, TEST, TRAIN, VAL, ImageRef, PassedOver, SourceImages
from tlsearch.data.scan import composed
from tlsearch.data.split_names import split_of
from tlsearch.data.tables import Table, read_table
from tlsearch.errors import DataError
from tlsearch.spec import S3, ColumnsSpec, DataSpec

_LEAST_WEIGHT = 1e-6
Value = TypeVar("Value")


def read_manifest(
    path: Path, spec: DataSpec, url: str | None = None, *, strict: bool = True
) -> SourceImages:
    """Read the rows of a CSV or Parquet file as images.

    Paths are relative to the folder of the file, or addresses in a bucket. Where there is a column
    of splits, it is taken as it says; a split may have any name that `split_of` knows. A row
    without a group is in none.

    Args:
        path: the file.
        spec: for the names of its columns, and whether an image may have several labels.
        url: where the file was fetched from, if it was; paths are then relative to its folder.
        strict: whether several labels in a cell are refused where an image has one.

    Raises:
        DataError: the table cannot be read, a column is missing, a label is empty or in other
            splits alone, there are several where there may be one, a file is not there or is named
            twice, or a group is in two splits.
    """
    columns = spec.columns
    table = read_table(path, columns.path)
    if url is not None:
        table = replace(table, where=url)
    used = _used(table, columns)
    cells = {use: table.column(name) for use, name in used.items()}
    refuse_empty(table, used["path"], cells["path"], "name the file of each image")
    base = None if url is None else url.rpartition("/")[0]
    found = _files(table, path.parent, base, cells["path"])
    splits = _splits(table, used["split"], cells["split"]) if "split" in used else None
    names = _names(table, found, splits)
    if splits is not None and "group" in used:
        _refuse_divided(table, cells["group"], splits)
    classes, labels = labels_of_rows(table, spec, splits, strict=strict)
    weights = _weights(table, used["weight"], cells["weight"]) if "weight" in used else None
    refs = [
        ImageRef(name, label, each.path, group=group or None, url=each.url)
        for name, label, each, group in zip(
            names, labels, found, cells.get("group", [""] * len(names)), strict=True
        )
    ]
    if weights is not None:
        refs = [replace(ref, weight=weight) for ref, weight in zip(refs, weights, strict=True)]
    read = {*used.values(), *label_columns(columns)}
    left = tuple(name for name in table.header if name not in read)
    passed = (PassedOver(COLUMNS, left, len(left)),) if left else ()
    return SourceImages(table.where, classes, _by_split(refs, splits), passed)


def _used(table: Table, columns: ColumnsSpec) -> dict[str, str]:
    """Return the names of the columns that are read, by what they are."""
    used = {"path": columns.path} | ({} if columns.labels else {"label": columns.label})
    if columns.weight is not None:
        used["weight"] = columns.weight
    for use, given in (("split", columns.split), ("group", columns.group)):
        name = use if given is None else given
        if given or (given is None and use in table.header and use not in used.values()):
            used[use] = name
    for use, name in [*used.items(), *(("labels", name) for name in columns.labels)]:
        if name not in table.header:
            raise DataError(
                f"{table.where}: has no column {name!r}; its columns are "
                f"{listed(map(repr, table.header))}; name the right one in data.columns.{use}"
            )
    return used


def _weights(table: Table, name: str, cells: Sequence[str]) -> list[float]:
    advice = (
        f"write a number from {_LEAST_WEIGHT:g} to {1 / _LEAST_WEIGHT:g} in each row, and drop "
        "rows that shall not count"
    )
    return _read(table, name, cells, _number, advice)


def _read(
    table: Table,
    name: str,
    cells: Sequence[str],
    reader: Callable[[str], Value | None],
    advice: str,
) -> list[Value]:
    """Return what a reader makes of each cell of a column; refuses those it returns None for."""
    found = [reader(cell) for cell in cells]
    odd = [
        f"{cell!r} ({table.place(k)})"
        for k, (cell, value) in enumerate(zip(cells, found, strict=True))
        if value is None
    ]
    if odd:
        raise DataError(f"{table.where}: the column {name!r} has {listed(odd)}; {advice}")
    return [value for value in found if value is not None]


def _number(cell: str) -> float | None:
    """Return a weight; None where it is none."""
    try:
        found = float(cell)
    except ValueError:
        return None
    return found if _LEAST_WEIGHT <= found <= 1 / _LEAST_WEIGHT else None


@dataclass(frozen=True, slots=True)
class _File:
    """A file that a row names: where it is here, its name, and where it was fetched from."""

    path: Path
    name: str
    url: str | None = None


def _files(table: Table, folder: Path, base: str | None, cells: Sequence[str]) -> list[_File]:
    """Return the file of each row; looks whether it is there, but does not open it."""
    urls = {cell: url for cell in cells if (url := _url(base, cell)) is not None}
    fetched = fetch_files(list(dict.fromkeys(urls.values())), table.where)
    found = [
        _fetched(base, urls[cell], fetched[urls[cell]]) if cell in urls else _file(folder, cell)
        for cell in cells
    ]
    gone = [f"{cells[k]} ({table.place(k)})" for k, file in enumerate(found) if file is None]
    if gone:
        number = "1 file is" if len(gone) == 1 else f"{len(gone)} files are"
        raise DataError(
            f"{table.where}: {number} not there: {listed(gone)}; paths are relative to the folder "
            "of the manifest, and name files; correct them, or drop their rows"
        )
    return [file for file in found if file is not None]


def _url(base: str | None, cell: str) -> str | None:
    """Return the address in a bucket that a cell names, if it names one."""
    if cell.startswith(S3):
        return cell
    if base is None:
        return None
    bucket, _, key = f"{base}/{cell}".removeprefix(S3).partition("/")
    return f"{S3}{bucket}/{posixpath.normpath(key.replace(chr(92), '/'))}"


def _fetched(base: str | None, url: str, path: Path | None) -> _File | None:
    if path is None:
        return None
    inside = base is not None and url.startswith(f"{base}/")
    return _File(path, composed(url[len(base or "") + 1 :] if inside else url), url)


def _file(folder: Path, cell: str) -> _File | None:
    """Return the file that a cell names: as it is, with slashes, or in another Unicode form."""
    slashes = cell.replace("\\", "/")
    forms = (cell, slashes, normalize("NFC", slashes), normalize("NFD", slashes))
    for text in dict.fromkeys(forms):
        path = Path(os.path.normpath(folder / text))
        if os.path.isfile(path):
            inside = path.relative_to(folder) if path.is_relative_to(folder) else path
            return _File(path, composed(inside.as_posix()))
    return None


def _splits(table: Table, name: str, cells: Sequence[str]) -> list[str]:
    advice = (
        'write train, val or test in each row, or set data.columns.split = "" to have the images '
        "split"
    )
    found = _read(table, name, cells, split_of, advice)
    if TRAIN not in found:
        raise DataError(
            f"{table.where}: the column {name!r} has no train; give images for training, or set "
            'data.columns.split = "" to have the images split'
        )
    return found


def _names(table: Table, files: Sequence[_File], splits: Sequence[str] | None) -> list[str]:
    """Return a name for each file; refuses a file that two rows name."""
    rows: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        rows[os.path.realpath(file.path)].append(index)
    names = [file.name for file in files]
    twice = [found for found in rows.values() if len(found) > 1]
    if twice:
        across = [found for found in twice if splits and len({splits[k] for k in found}) > 1]
        raise DataError(
            f"{table.where}: {_said_twice(table, names, splits, across or twice)}; "
            "keep one row for each file"
        )
    _refuse_equal(table, names)
    return names


def _said_twice(
    table: Table, names: Sequence[str], splits: Sequence[str] | None, twice: Sequence[Sequence[int]]
) -> str:
    what = "1 file is" if len(twice) == 1 else f"{len(twice)} files are"
    where = "in two rows"
    if splits and len({splits[k] for k in twice[0]}) > 1:
        where = f"in two splits ({_joined(splits[k] for k in twice[0])})"
    shown = [f"{names[rows[0]]} ({_joined(map(table.place, rows))})" for rows in twice]
    return f"{what} {where}: {listed(shown)}"


def _joined(words: Iterable[str]) -> str:
    return " and ".join(list(dict.fromkeys(words))[:2])


def _refuse_equal(table: Table, names: Sequence[str]) -> None:
    """Refuse two files whose names differ in Unicode form alone: the names tell images apart."""
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if seen.setdefault(name, index) != index:
            raise DataError(
                f"{table.where}: {table.place(seen[name])} and {table.place(index)} name files "
                f"that differ in Unicode form alone ({name}); rename one of them"
            )


def _refuse_divided(table: Table, groups: Sequence[str], splits: Sequence[str]) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        found[group].add(split)
    divided = [
        f"{group!r} ({' and '.join(s for s in (TRAIN, VAL, TEST) if s in where)})"
        for group, where in found.items()
        if group and len(where) > 1
    ]
    if divided:
        what = "1 group is" if len(divided) == 1 else f"{len(divided)} groups are"
        raise DataError(
            f"{table.where}: {what} in more than one split: {listed(divided)}; put each into one, "
            'or set data.columns.split = "" to have the groups split'
        )


def _by_split(
    refs: Sequence[ImageRef], splits: Sequence[str] | None
) -> dict[str, tuple[ImageRef, ...]]:
    """Put the images into their splits, ordered as a folder's are: by class, then by name."""
    order = sorted(range(len(refs)), key=lambda k: (refs[k].label, refs[k].name))
    if splits is None:
        return {ALL: tuple(refs[k] for k in order)}
    return {
        split: found
        for split in (TRAIN, VAL, TEST)
        if (found := tuple(refs[k] for k in order if splits[k] == split))
    }
