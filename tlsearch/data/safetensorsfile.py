"""The header of a safetensors file: where its tensors are, and the text beside them.

A file begins with the header's length (8 bytes, little endian) and the header (JSON: name ->
dtype, shape, data_offsets; `__metadata__` -> text by name); offsets count from after the header.
The library reads tensors, but does not say where they are; a memory map needs that.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says before its tensors.

    Attributes:
        entries: by the tensor's name: `dtype`, `shape` and `data_offsets`.
        metadata: text by name.
        start: where the tensors begin in the file, bytes.
        end: where the last one ends, bytes.
    """

    entries: Mapping[str, Mapping[str, Any]]
    metadata: Mapping[str, str]
    start: int
    end: int


def read_header(file: BinaryIO) -> Header:
    """Read the header of an open file.

    Raises:
        ValueError: the header is damaged, or the file does not end where its last tensor does.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = _LENGTH_BYTES + int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if start > size:
        raise ValueError(f"it has {size} bytes and a header that ends at {start}")
    try:
        entries = json.loads(file.read(start - _LENGTH_BYTES))
        metadata = entries.pop("__metadata__", {})
        end = start + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError("its header cannot be read") from error
    if end != size:
        raise ValueError(f"it has {size} bytes instead of {end}")
    return Header(entries, metadata, start, end)
