"""Records what runs on a GPU as a CUDA graph, and leaves nothing behind where that fails.

After a recording that fails, torch (seen with 2.11) leaves its allocator and its random
generator as they are while one is under way: the next `empty_cache` and the next dropout raise.
`record` ends both. What waits for a value on the GPU fails, so `noting_waits` finds it before.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import torch

from tlsearch.errors import is_memory_shortage

T = TypeVar("T")

_WAITED = "called a synchronizing CUDA operation"  # torch's words


class CannotRecord(Exception):
    """What ran cannot be recorded; the message is torch's reason.

    Attributes:
        memory: whether memory ran out.
    """

    def __init__(self, why: str, *, memory: bool) -> None:
        super().__init__(why)
        self.memory = memory


def record(run: Callable[[], T], device: torch.device) -> tuple[torch.cuda.CUDAGraph, T]:
    """Record what a function does on a CUDA device, without doing it; return what it returns.

    Run it before, so that libraries have set themselves up.

    Raises:
        CannotRecord: it does what no graph can have.
        RuntimeError: likewise, and torch cannot go on in this process.
    """
    with torch.cuda.device(device):
        pool = torch.cuda.graph_pool_handle()
        try:
            return _recorded(run, device, pool)
        except RuntimeError as error:
            found = CannotRecord(
                str(error).strip().partition("\n")[0], memory=_is_memory_shortage(error)
            )
        _end(device, pool)
    raise found


@contextmanager
def noting_waits() -> Iterator[list[str]]:
    """Yield a list that has, after the block, the places where it waited for a value on the GPU."""
    places: list[str] = []
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    places += [f"{each.filename}:{each.lineno}" for each in said if _WAITED in str(each.message)]


def _recorded(
    run: Callable[[], T], device: torch.device, pool: Any
) -> tuple[torch.cuda.CUDAGraph, T]:
    graph = torch.cuda.CUDAGraph()
    # Other threads may use CUDA meanwhile.
    with torch.cuda.graph(
        graph, pool=pool, stream=_stream(device), capture_error_mode="thread_local"
    ):
        returned = run()
    return graph, returned


def _end(device: torch.device, pool: Any) -> None:
    """End for torch's allocator and its generator what a recording that failed began.

    The generator leaves its state at the end of the next recording that succeeds.
    """
    index = torch.cuda.current_device() if device.index is None else device.index
    with suppress(RuntimeError):  # it was not begun, or is ended
        torch._C._cuda_endAllocateToPool(index, pool)
        torch._C._cuda_releasePool(index, pool)
    number = torch.zeros(1, device=device)
    _recorded(lambda: number.add_(1), device, torch.cuda.graph_pool_handle())


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return one stream for all recordings: libraries keep workspaces for each that they see."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def _is_memory_shortage(error: BaseException | None) -> bool:
    """Return whether an error is one, or came of one while the recording ended."""
    return error is not None and (
        is_memory_shortage(error) or _is_memory_shortage(error.__context__)
    )
