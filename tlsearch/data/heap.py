"""Keeps the memory that a training frees on a CPU for its next step.

A step allocates and frees the same large tensors as the one before. By default glibc maps each of
them anew and unmaps it after use, so the kernel has to clear its pages every time; at 224 pixels
that takes more time than the convolutions (bench/engine, docs/decisions/0022-engine-on-a-cpu.md).
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

# Of <malloc.h>; see mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_KEEP = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}
# What glibc's own moving thresholds have come to when large blocks were freed, and its default.
_AS_BEFORE = {_MMAP_MAX: 1 << 16, _TRIM_THRESHOLD: 1 << 26, _MMAP_THRESHOLD: 1 << 25}


@contextmanager
def kept_memory(device: torch.device) -> Iterator[None]:
    """Keep freed memory in the block, and give it back to the system after it.

    Without effect on a GPU, where torch keeps memory itself, and where the C library is not glibc.
    What the process takes at most stays nearly the same: the kept memory is that of the last step.
    It acts in the main thread; blocks of other threads that are larger than 64 MB are not kept.

    Args:
        device: where the block computes.
    """
    library = _glibc() if device.type == "cpu" else None
    if library is None:
        yield
        return
    _set(library, _KEEP)
    try:
        yield
    finally:
        _set(library, _AS_BEFORE)
        library.malloc_trim(0)


@cache
def _glibc() -> Any | None:
    """Return the C library of this process, if it has glibc's functions."""
    try:
        library = ctypes.CDLL(None)
    except OSError:
        return None
    names = ("gnu_get_libc_version", "mallopt", "malloc_trim")
    return library if all(hasattr(library, name) for name in names) else None


def _set(library: Any, options: dict[int, int]) -> None:
    for option, value in options.items():
        library.mallopt(option, value)
