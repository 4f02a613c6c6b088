"""Reads the classification sets of torchvision by name, from where torchvision keeps them.

Its classes are asked which image is in which split and has which label. Images that are files are
then opened here, as those of every other source are.
"""

import difflib
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.arrays import LabelledArrays, array_source
from tlsearch.data.reading import listed
from tlsearch.data.references import TRAIN, ImageRef, SourceImages
from tlsearch.data.scan import composed
from tlsearch.data.torchvision_names import SETS, NamedSet
from tlsearch.errors import DataError, first_line, is_memory_shortage
from tlsearch.spec import TORCHVISION, DataSpec

_FILES = ("_samples", "samples")  # pairs of a path and a label
_PATHS = ("_image_files", "_images")  # paths, with _labels beside them


def read_torchvision(spec: DataSpec) -> SourceImages:
    """Read the set that `spec.path` names in `spec.root`; downloads it where the spec says so.

    Raises:
        DataError: no such set, it is not there, or it is damaged; the sentence says what to
            download and where it belongs.
    """
    name, _, partition = spec.path.removeprefix(TORCHVISION).partition("/")
    known = _known(spec.path, name)
    options = _partition(spec.path, known, partition)
    if not spec.root:
        raise DataError(
            f"{spec.path}: set data.root to the folder that has, or shall have, {known.folder}"
        )
    root = Path(spec.root).expanduser().absolute()
    datasets = {
        split: _open(spec, name, known, {"root": str(root), **arguments, **options})
        for split, arguments in known.splits.items()
    }
    first = datasets.get(TRAIN, next(iter(datasets.values())))
    if hasattr(first, "data"):
        return _of_arrays(spec.path, datasets)
    return _of_files(spec.path, root, datasets, first)


def _known(path: str, name: str) -> NamedSet:
    if name in SETS:
        return SETS[name]
    by_case = {known.lower(): known for known in SETS}
    close = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    hint = f"did you mean {TORCHVISION}{by_case[close[0]]}?" if close else ""
    raise DataError(
        f"{path}: no such set is read by name; {hint or 'those that are: ' + ', '.join(SETS)}"
    )


def _partition(path: str, known: NamedSet, text: str) -> dict[str, int]:
    if not text:
        return {}
    numbers = [str(n) for n in range(1, known.partitions + 1)]
    if known.partitions == 1 or text not in numbers:
        which = f"from 1 to {known.partitions}" if known.partitions > 1 else "none"
        raise DataError(f"{path}: has no partition {text!r}; its partitions are {which}")
    return {"partition": int(text)}


def _open(spec: DataSpec, name: str, known: NamedSet, options: dict[str, Any]) -> Any:
    from torchvision import datasets

    def build(download: bool) -> Any:
        more = {"download": True} if download else {}
        with redirect_stdout(sys.stderr):  # it may say there that it downloads
            return getattr(datasets, name)(**options, **more)

    try:
        return build(spec.download)
    except Exception as error:  # of many types, where a file is damaged or the network is away
        if is_memory_shortage(error):
            raise
        raise DataError(_not_there(spec, known, error)) from None


def _not_there(spec: DataSpec, known: NamedSet, error: Exception) -> str:
    place = os.path.normpath(os.path.join(spec.root or "", known.folder))
    said = first_line(error).replace("You can use download=True to download it", "").strip()
    more = "" if spec.download else ", or set data.download = true"
    return (
        f"{spec.path}: is not in {place}, or damaged ({said.rstrip('. ')}); download "
        f"{known.download}, and unpack it to there as torchvision does{more}"
    )


def _of_arrays(where: str, datasets: dict[str, Any]) -> SourceImages:
    arrays = {
        split: LabelledArrays(f"{split} images", f"{split} labels", *_arrays(dataset))
        for split, dataset in datasets.items()
    }
    names = getattr(next(iter(datasets.values())), "classes", None)
    return array_source(where, arrays, names)


def _arrays(dataset: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the images (N, H, W[, 3]) and their labels."""
    images = np.asarray(dataset.data)
    if images.ndim == 4 and images.shape[1] == 3 and images.shape[3] != 3:
        images = images.transpose(0, 2, 3, 1)
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    return images, np.asarray(labels).astype(np.int64)


def _of_files(where: str, root: Path, datasets: dict[str, Any], first: Any) -> SourceImages:
    pairs = {split: _pairs(dataset) for split, dataset in datasets.items()}
    n_classes = 1 + max(label for found in pairs.values() for _, label in found)
    given: Sequence[str] = getattr(first, "classes", ())
    names = [_name(given[k]) for k in range(n_classes)] if len(given) >= n_classes else []
    if len(set(names)) < len(names) or not names:
        names = [str(label) for label in range(n_classes)]
    _refuse_missing(where, pairs)
    splits = {
        split: tuple(
            ImageRef(composed(path.relative_to(root).as_posix()), label, path)
            for path, label in sorted(found, key=lambda pair: (pair[1], pair[0]))
        )
        for split, found in pairs.items()
    }
    return SourceImages(where, tuple(names), splits)


def _name(given: str | Sequence[str]) -> str:
    """Return the name of a class, the first where it has several."""
    return given if isinstance(given, str) else str(given[0])


def _pairs(dataset: Any) -> list[tuple[Path, int]]:
    for name in _FILES:
        if hasattr(dataset, name):
            return [(Path(path), int(label)) for path, label in getattr(dataset, name)]
    paths = next(getattr(dataset, name) for name in _PATHS if hasattr(dataset, name))
    return [(Path(path), int(label)) for path, label in zip(paths, dataset._labels, strict=True)]


def _refuse_missing(where: str, pairs: dict[str, list[tuple[Path, int]]]) -> None:
    gone = [str(path) for found in pairs.values() for path, _ in found if not path.is_file()]
    if gone:
        number = "1 file is" if len(gone) == 1 else f"{len(gone)} files are"
        raise DataError(f"{where}: {number} not there: {listed(gone)}; unpack the set again")
