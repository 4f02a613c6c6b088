"""Reads data sets of Hugging Face from the disk: what `save_to_disk` writes, and Parquet exports.

Both are tables in Arrow's formats with a column of images and one of labels; what the columns are
stands beside the table or in its schema, as JSON. No code of a data set is run.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlsearch.data.packed_files import PackedFile
from tlsearch.data.pointers import what_instead
from tlsearch.data.reading import listed
from tlsearch.data.references import ALL, TRAIN, ImageRef, SourceImages
from tlsearch.data.split_names import split_of
from tlsearch.errors import DataError, first_line, is_memory_shortage
from tlsearch.spec import ColumnsSpec

_DICT, _INFO, _STATE = "dataset_dict.json", "dataset_info.json", "state.json"
_SCHEMA_KEY = b"huggingface"
_AGAIN = "save or download it again"


@dataclass(frozen=True, slots=True)
class _Rows:
    """The tables of one split, with their features by column."""

    place: Path
    features: Mapping[str, Any]
    tables: Sequence[Any]


def holds_huggingface(path: Path) -> bool:
    """Return whether a folder or a Parquet file is a data set of Hugging Face."""
    if path.is_file():
        return path.suffix == ".parquet" and bool(_features_inside(path))
    if (path / _DICT).is_file() or ((path / _STATE).is_file() and (path / _INFO).is_file()):
        return True
    try:
        folders = {each.name for each in path.iterdir() if each.is_dir() and each.name[:1] != "."}
        return folders <= {"data"} and bool(_parquet_files(path))
    except OSError:  # said by whoever reads it
        return False


def read_huggingface(path: Path, columns: ColumnsSpec) -> SourceImages:
    """Read a data set from the disk.

    Splits may have any name that `split_of` knows; one alone is split here, unless it is for
    training and another is there. Images that are files in the table keep their bytes.

    Args:
        path: what `save_to_disk` wrote, a folder of Parquet files, or one such file.
        columns: `label` names the column of labels, where there are several.

    Raises:
        DataError: pyarrow is missing, the files are damaged, or there is no column of images or
            of labels.
    """
    require_pyarrow(path)
    found = {split: _rows(path, files) for split, files in _files_by_split(path).items()}
    features = next(iter(found.values())).features
    image, label = _columns(path, features, columns)
    names = tuple(str(name) for name in features[label].get("names", ()))
    raw = {split: list(_pairs(rows, split, image, label)) for split, rows in found.items()}
    if names:
        _check_range(path, raw, len(names))
    classes = names or _values(path, label, raw)
    numbers = {name: number for number, name in enumerate(classes)}
    return SourceImages(
        str(path),
        classes,
        {
            split: tuple(
                ImageRef(name, value if names else numbers[str(value)], source)
                for name, source, value in pairs
            )
            for split, pairs in raw.items()
        },
    )


def require_pyarrow(path: Path | str) -> None:
    """Raise a DataError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise DataError(
            f"{path}: is a data set of Hugging Face, which needs pyarrow; install it "
            "(tlsearch[parquet])"
        ) from None


def _files_by_split(path: Path) -> dict[str, list[Path]]:
    """Return the folders or files of each split, train first."""
    if path.is_file() or (path / _STATE).is_file():
        return {ALL: [path]}
    if (path / _DICT).is_file():
        return _sorted_out(path, [(name, path / name) for name in _json(path / _DICT)["splits"]])
    return _sorted_out(path, [(_split_name(path, file), file) for file in _parquet_files(path)])


def _parquet_files(path: Path) -> list[Path]:
    return sorted(file for depth in ("", "*/", "*/*/") for file in path.glob(f"{depth}*.parquet"))


def _split_name(path: Path, file: Path) -> str:
    """Return `train` of `data/train-00000-of-00002.parquet` and of `train/0000.parquet`."""
    name = file.stem.partition("-")[0]
    return file.parent.name if name.isdigit() and file.parent != path else name


def _sorted_out(path: Path, named: Sequence[tuple[str, Path]]) -> dict[str, list[Path]]:
    if len({name for name, _ in named}) == 1:
        return {ALL: [place for _, place in named]}
    found: dict[str, list[Path]] = {}
    origin: dict[str, str] = {}
    for name, place in named:
        split = split_of(name)
        if split is None or origin.setdefault(split, name) != name:
            raise DataError(
                f"{path}: has the splits {listed(dict.fromkeys(n for n, _ in named))}; keep those "
                "for training, validation and testing, and name them train, validation and test"
            )
        found.setdefault(split, []).append(place)
    if TRAIN not in found:
        raise DataError(f"{path}: has no split train; add it, or keep one split alone")
    return found


def _rows(path: Path, places: Sequence[Path]) -> _Rows:
    """Read the tables of a split."""
    import pyarrow as pa
    import pyarrow.parquet

    features: Mapping[str, Any] = {}
    tables = []
    for place in places:
        try:
            if place.is_dir():
                features = _json(place / _INFO)["features"]
                tables += [_arrow(place / each["filename"]) for each in _state(place)]
            else:
                features = _features_inside(place)
                tables.append(pyarrow.parquet.read_table(place))
        except (pa.ArrowException, OSError, KeyError, TypeError) as error:
            if is_memory_shortage(error):
                raise
            what = what_instead(place) or f"is damaged ({first_line(error)}); {_AGAIN}"
            raise DataError(f"{place}: {what}") from None
    return _Rows(path, features, tables)


def _state(place: Path) -> list[dict[str, str]]:
    state = _json(place / _STATE)
    if state.get("_indices_data_files"):
        raise DataError(f"{place}: keeps its rows in another order; save it after flatten_indices")
    found: list[dict[str, str]] = state["_data_files"]
    return found


def _arrow(file: Path) -> Any:
    import pyarrow as pa

    with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as reader:
        return reader.read_all()


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{file}: cannot be read as JSON; {_AGAIN}")
    return found


def _features_inside(file: Path) -> Mapping[str, Any]:
    """Return what the schema of a Parquet file says of its columns; nothing where it says none."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        return {}
    try:
        schema = pyarrow.parquet.read_schema(file)
        info = json.loads((schema.metadata or {}).get(_SCHEMA_KEY, b"{}"))
        found: Mapping[str, Any] = info["info"]["features"]
        return found if isinstance(found, dict) else {}
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return {}


def _columns(path: Path, features: Mapping[str, Any], columns: ColumnsSpec) -> tuple[str, str]:
    kinds = {name: each.get("_type") for name, each in features.items() if isinstance(each, dict)}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    if not images:
        raise DataError(
            f"{path}: has no column of images; its columns are {listed(features) or 'unknown'}"
        )
    given = "label" in columns.model_fields_set
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    if given or columns.label in features:
        labels = [columns.label]
    if len(labels) != 1 or labels[0] not in kinds or len(images) > 1:
        raise DataError(
            f"{path}: it is not clear what the images and labels are; its columns are "
            f"{listed(f'{name} ({kind})' for name, kind in kinds.items())}; keep one of images, "
            "and name that of the labels in data.columns.label"
        )
    return images[0], labels[0]


def _pairs(
    rows: _Rows, split: str, image: str, label: str
) -> Iterator[tuple[str, Path | PackedFile, Any]]:
    """Yield a name, the image and the label of each row."""
    index = 0
    for table in rows.tables:
        _check_columns(rows.place, table, image, label)
        for cell, value in zip(table.column(image), table.column(label).to_pylist(), strict=True):
            found = cell.as_py() or {}
            name = f"{split}[{index}]"
            if value is None or value == -1:
                raise DataError(f"{rows.place}: {name} has no label; drop such rows")
            yield name, _image(rows.place, name, found), value
            index += 1


def _check_columns(place: Path, table: Any, image: str, label: str) -> None:
    import pyarrow as pa

    if not {image, label} <= set(table.column_names):
        raise DataError(f"{place}: a table lacks the column {image!r} or {label!r}; {_AGAIN}")
    if not pa.types.is_struct(table.column(image).type):
        raise DataError(f"{place}: the column {image!r} holds no image files; {_AGAIN}")


def _image(place: Path, name: str, cell: Mapping[str, Any]) -> Path | PackedFile:
    if cell.get("bytes") is not None:
        return PackedFile(cell["bytes"])
    folder = place if place.is_dir() else place.parent
    path: Path | None = folder / cell["path"] if cell.get("path") else None
    if path is None or not path.is_file():
        what = f"names a file that is not there ({path})" if path else "has no image"
        raise DataError(f"{place}: {name} {what}; save the set with its images inside")
    return path


def _check_range(
    path: Path, raw: Mapping[str, Sequence[tuple[str, Any, Any]]], n_classes: int
) -> None:
    for pairs in raw.values():
        for name, _, value in pairs:
            if not isinstance(value, int) or not 0 <= value < n_classes:
                raise DataError(
                    f"{path}: {name} has the label {value!r}, and there are {n_classes} names; "
                    f"{_AGAIN}"
                )


def _values(
    path: Path, label: str, raw: Mapping[str, Sequence[tuple[str, Any, Any]]]
) -> tuple[str, ...]:
    values = {value for pairs in raw.values() for _, _, value in pairs}
    if not all(isinstance(value, int | str) for value in values):
        raise DataError(f"{path}: the column {label!r} must hold whole numbers or text")
    return tuple(map(str, sorted(values, key=lambda value: (isinstance(value, str), value))))
