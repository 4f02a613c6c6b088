"""Writes a manifest of a data set without its damaged files, and without its duplicates."""

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlsearch.data.catalog import catalog_of
from tlsearch.data.colours import Look
from tlsearch.data.decode import look_at
from tlsearch.data.duplicates import Copy, find_copies
from tlsearch.data.reading import listed, read_all
from tlsearch.data.references import TEST, TRAIN, VAL, Catalog, ImageRef, SourceImages
from tlsearch.data.sources import read_source
from tlsearch.errors import DataError
from tlsearch.records.format import LABEL_SEPARATOR
from tlsearch.spec import DataSpec


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was written, and what was left out.

    Attributes:
        images: how many of each split were written.
        damaged: places with reasons.
        copies: the images that are there twice, or look like another.
        dropped: names of those that were left out for it.
    """

    images: Mapping[str, int]
    damaged: tuple[str, ...]
    copies: tuple[Copy, ...]
    dropped: tuple[str, ...]


def write_clean_manifest(spec: DataSpec, target: Path, drop_duplicates: bool) -> Cleaned:
    """Read every image, and write a CSV manifest of those that can be read, with their splits.

    Of images of one class that are alike the first is kept, of the test images before those for
    validation before those for training. Images of several classes with the same content are all
    dropped: their labels cannot be told. Images of several classes that only look alike stay.

    Args:
        spec: the data; each image a file.
        target: a new file; paths in it are relative to its folder. Several labels of an image are
            in one cell, with `|` between them.
        drop_duplicates: whether images that are alike are left out.

    Raises:
        DataError: images are no files, nothing usable is left, or `target` is there or cannot be
            written.
    """
    if target.exists():
        raise DataError(f"{target}: is there already; name a new file")
    source = read_source(spec)
    _refuse_arrays(source)
    whole, looks, damaged = _read_whole(source, spec.bit_depth)
    catalog = catalog_of(whole, spec)
    ordered = [looks[ref.name] for ref in (*catalog.train, *catalog.val, *catalog.test)]
    copies = find_copies(catalog, ordered)
    dropped = _dropped(copies) if drop_duplicates else frozenset()
    rows = _rows(catalog, target, dropped)
    _write(target, rows)
    counts = Counter(row[2] for row in rows[1:])
    return Cleaned(dict(counts), tuple(damaged), copies, tuple(sorted(dropped)))


def _refuse_arrays(source: SourceImages) -> None:
    refs = (ref for refs in source.splits.values() for ref in refs)
    if any(not isinstance(ref.source, Path) for ref in refs):
        raise DataError(
            f"{source.where}: holds its images itself; a manifest is written of images that are "
            "files each"
        )


def _read_whole(
    source: SourceImages, bits: int | None
) -> tuple[SourceImages, dict[str, Look], list[str]]:
    """Return the source without what is damaged, how its images look, and what is damaged."""
    refs = [replace(ref, bits=bits) for refs in source.splits.values() for ref in refs]
    found, damaged = read_all(refs, lambda ref: (ref.name, look_at(ref)))
    looks = dict(found)
    splits = {
        split: tuple(ref for ref in refs if ref.name in looks)
        for split, refs in source.splits.items()
    }
    return replace(source, splits=splits), looks, [image.text for image in damaged]


def _dropped(copies: Sequence[Copy]) -> frozenset[str]:
    own = {copy.image.name for copy in copies if copy.same_class}
    doubtful = [copy for copy in copies if copy.same and not copy.same_class]
    return frozenset(own.union(*({copy.image.name, copy.first.name} for copy in doubtful)))


def _rows(catalog: Catalog, target: Path, dropped: frozenset[str]) -> list[tuple[str, ...]]:
    by_split = {TRAIN: catalog.train, VAL: catalog.val, TEST: catalog.test}
    kept = [(s, ref) for s, refs in by_split.items() for ref in refs if ref.name not in dropped]
    grouped = any(ref.group for _, ref in kept)
    weighted = any(ref.weight != 1 for _, ref in kept)
    more = [name for name, there in (("group", grouped), ("weight", weighted)) if there]
    rows = [("path", "label", "split", *more)]
    for split, ref in kept:
        values = {"group": ref.group or "", "weight": f"{ref.weight:.17g}"}
        cells = [values[name] for name in more]
        label = LABEL_SEPARATOR.join(catalog.class_names[label] for label in ref.classes)
        rows.append((_path(ref, target), label, split, *cells))
    _refuse_odd(target, {cell for row in rows for cell in row})
    if catalog.multi_label:
        _refuse_divided(target, catalog.class_names)
    return rows


def _path(ref: ImageRef, target: Path) -> str:
    if ref.url is not None:
        return ref.url
    return Path(os.path.relpath(str(ref.source), target.absolute().parent)).as_posix()


def _refuse_odd(target: Path, cells: set[str]) -> None:
    """Refuse what would not come out of the manifest as it went in."""
    odd = [
        repr(cell)
        for cell in sorted(cells)
        if cell.encode("utf-8", "replace").decode() != cell or cell != cell.strip()
    ]
    if odd:
        raise DataError(
            f"{target}: cannot hold the names {listed(odd)}: text in a manifest is UTF-8, without "
            "white space around it; rename them"
        )


def _refuse_divided(target: Path, class_names: Sequence[str]) -> None:
    """Refuse names of classes that would be taken for several labels."""
    if odd := [repr(name) for name in class_names if LABEL_SEPARATOR in name]:
        raise DataError(
            f"{target}: cannot hold the classes {listed(odd)}: {LABEL_SEPARATOR} stands between "
            "the labels of an image; rename them"
        )


def _write(target: Path, rows: Sequence[Sequence[str]]) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".tlsearch-") as at:
            written = Path(at, target.name)
            with written.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
            os.replace(written, target)
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written ({error.strerror}); name another file"
        ) from None
