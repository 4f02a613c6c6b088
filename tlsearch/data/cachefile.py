"""A file of named arrays that is written at once, checked and memory-mapped when read.

Layout: `MAGIC`, the SHA-256 of all that follows, the header's length (8 bytes, little endian),
the header (JSON: name -> dtype, shape, offset), and the arrays, each at a multiple of 64 bytes.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = b"tlsearch arrays 1\n"
ALIGNMENT = 64
BODY = len(MAGIC) + hashlib.sha256().digest_size

Arrays = Mapping[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write `arrays` to `path`, replacing it at once; a reader never sees half a file.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, arrays)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of `path`, read-only and memory-mapped; None where it cannot be used.

    That is where there is no such file, or it was damaged.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            digest = file.read(BODY - len(MAGIC))
            if hashlib.file_digest(file, "sha256").digest() != digest:
                return None
            return _map(file)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(file: BinaryIO, arrays: Arrays) -> None:
    digest = hashlib.sha256()
    file.write(MAGIC + bytes(digest.digest_size))
    for part in _body(arrays):
        digest.update(part)
        file.write(part)
    file.seek(len(MAGIC))
    file.write(digest.digest())


def _body(arrays: Arrays) -> Iterator[bytes | memoryview]:
    """Yield the header, then padding and bytes of each array; offsets count from after it."""
    entries: dict[str, dict[str, Any]] = {}
    end = 0
    for name, array in arrays.items():
        start = _aligned(end)
        entries[name] = {"dtype": array.dtype.str, "shape": array.shape, "offset": start}
        end = start + array.nbytes
    header = json.dumps(entries).encode()
    header += b" " * (_aligned(BODY + 8 + len(header)) - BODY - 8 - len(header))
    yield len(header).to_bytes(8, "little") + header
    end = 0
    for name, array in arrays.items():
        yield bytes(entries[name]["offset"] - end)
        yield np.ascontiguousarray(array).data.cast("B")
        end = entries[name]["offset"] + array.nbytes


def _map(file: BinaryIO) -> dict[str, NDArray[Any]]:
    file.seek(BODY)
    length = int.from_bytes(file.read(8), "little")
    entries = json.loads(file.read(length))
    start = BODY + 8 + length
    return {
        name: np.memmap(
            file,
            dtype=np.dtype(entry["dtype"]),
            mode="r",
            offset=start + entry["offset"],
            shape=tuple(entry["shape"]),
        )
        for name, entry in entries.items()
    }


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
