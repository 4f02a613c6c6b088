"""Named arrays in a safetensors file that is replaced at once, checked and memory-mapped.

Its metadata has the SHA-256 of the names, types, shapes and values. An empty array cannot be
memory-mapped, so a file with one is never read.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.safetensorsfile import Header, read_header

_FORMER_SUFFIX = ".arrays"  # version 0.1.0 had its own format for the same content
_CHECKSUM = "sha256"
_ALIGNMENT = 8
_NUMPY_TYPES = {
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}

Arrays = Mapping[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write `arrays` to `path` and replace what is there; a reader never sees half a file.

    Raises:
        OSError: the folder cannot be created, or the file cannot be written.
    """
    wide_first = sorted(arrays, key=lambda name: -arrays[name].itemsize)  # so all are aligned
    contiguous = {name: np.ascontiguousarray(arrays[name]) for name in wide_first}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        temporary = Path(folder, path.name)
        with temporary.open("wb") as file:
            file.write(_header(contiguous))
            for array in contiguous.values():
                file.write(_bytes(array))
        os.replace(temporary, path)
    path.with_suffix(_FORMER_SUFFIX).unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of `path`, read-only and memory-mapped.

    None where there is no such file, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            header = read_header(file)
            arrays = {name: _map(file, header, name) for name in header.entries}
        return arrays if header.metadata[_CHECKSUM] == _checksum(arrays) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _header(arrays: Arrays) -> bytes:
    """Return what comes before the arrays; the library would copy them to write them."""
    entries: dict[str, Any] = {"__metadata__": {_CHECKSUM: _checksum(arrays)}}
    place = 0
    for name, array in arrays.items():
        kind = f"{array.dtype.kind}{8 * array.itemsize}".upper()
        offsets = [place, place + array.nbytes]
        entries[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        place += array.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _map(file: BinaryIO, header: Header, name: str) -> NDArray[Any]:
    entry = header.entries[name]
    return np.memmap(
        file,
        dtype=np.dtype(_NUMPY_TYPES[entry["dtype"]]),
        mode="r",
        offset=header.start + entry["data_offsets"][0],
        shape=tuple(entry["shape"]),
    )


def _checksum(arrays: Arrays) -> str:
    checksum = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        checksum.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        checksum.update(_bytes(array))
    return checksum.hexdigest()
