"""How much memory this process may still take, and one sentence where it does not suffice."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tlsearch.errors import MemoryShortage, is_memory_shortage

T = TypeVar("T")

FEWER_IMAGES = "lower recipe.image_size or data.train_per_class, or take a machine with more memory"

_MOST_AT_ONCE, _FEWEST_AT_ONCE = 200, 16
_UP_TO = 128  # pixels: the largest images of which there are `_MOST_AT_ONCE`

_CGROUP = Path("/sys/fs/cgroup")
_STATUS, _MEMINFO, _OWN_CGROUP = "/proc/self/status", "/proc/meminfo", "/proc/self/cgroup"
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")
_V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat")
_V2 = ("memory.max", "memory.current", "memory.stat")


def free_bytes() -> int | None:
    """Return how much more memory this process can have; None where nothing says it.

    The least of what the machine has available, with its swap, of what each control group around
    this process leaves, and of the process's own limits.
    """
    found = [_machine(), *_groups(), *_limits()]
    return max(0, min(known)) if (known := [n for n in found if n is not None]) else None


def as_text(n_bytes: int) -> str:
    """Return `340 MB` or `12 GB`."""
    return f"{n_bytes / 1e6:.3g} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:.3g} GB"


def evaluated_at_once(image_size: int) -> int:
    """Return how many images go through a network at once where nothing is learned from them.

    `_MOST_AT_ONCE`, and of larger images as many as have their pixels together, so that memory does
    not grow with the size. On a CPU larger batches are not faster, and far larger ones are slower.

    Args:
        image_size: side of the square that the network sees, pixels.
    """
    as_many_pixels = _MOST_AT_ONCE * _UP_TO**2 // image_size**2
    return max(_FEWEST_AT_ONCE, min(_MOST_AT_ONCE, as_many_pixels))


def in_batches_that_fit(largest: int, run: Callable[[int], T]) -> T:
    """Run what takes images in batches; where memory is short, halve them and run it again.

    Args:
        largest: images of a batch at first.
        run: given the images of a batch; may be called again.

    Raises:
        RuntimeError: memory is short even with one image; or MemoryError.
    """
    size = largest
    while True:
        try:
            return run(size)
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not is_memory_shortage(error):
                raise
        size //= 2


@contextmanager
def enough_memory(what: str, then: str) -> Iterator[None]:
    """Turn any failure to get memory into one sentence.

    Args:
        what: the memory was needed for, as in "too little memory to decode the images".
        then: what to do about it.

    Raises:
        MemoryShortage: the block could not get the memory it needs.
    """
    try:
        yield
    except MemoryShortage:
        raise
    except Exception as error:
        if not is_memory_shortage(error):
            raise
        raise MemoryShortage(f"too little memory {what}{_left()}; {then}") from error


def check_room(needed: int, what: str, then: str) -> None:
    """Refuse what cannot fit, before the system ends this process for trying.

    Raises:
        MemoryShortage: `needed` bytes are more than this process can have.
    """
    free = free_bytes()
    if free is not None and needed > free:
        raise MemoryShortage(
            f"too little memory {what}: about {as_text(needed)} more are needed and "
            f"{as_text(free)} can be had; {then}"
        )


def _left() -> str:
    free = free_bytes()
    return "" if free is None else f" ({as_text(free)} can be had)"


def _machine() -> int | None:
    found = _table(_MEMINFO)
    if "MemAvailable" not in found:
        return None
    return 1024 * (found["MemAvailable"] + found.get("SwapFree", 0))


def _groups() -> Iterator[int | None]:
    """Yield what each control group leaves: this process's, and those around it."""
    with suppress(OSError):
        for line in Path(_OWN_CGROUP).read_text().splitlines():
            _, kinds, inside = line.split(":", 2)
            if kinds == "":
                folder = _CGROUP / inside.lstrip("/")
                for place in (folder, *folder.parents):
                    yield _group(place, *_V2)
                    if place == _CGROUP:
                        break
    yield _group(_CGROUP, *_V1)


def _group(folder: Path, limit: str, used: str, statistics: str) -> int | None:
    try:
        most, taken = int((folder / limit).read_text()), int((folder / used).read_text())
    except (OSError, ValueError):  # there is no such file, or it says "max"
        return None
    known = _table(folder / statistics)
    return most - taken + sum(known.get(name, 0) for name in _RECLAIMABLE)


def _limits() -> Iterator[int]:
    """Yield what `ulimit -v` and `ulimit -d` leave."""
    status = _table(_STATUS)
    for kind, size in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most, _ = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY and size in status:
            yield most - 1024 * status[size]


def _table(path: str | Path) -> dict[str, int]:
    """Read lines such as `MemAvailable:  123 kB`; a file that is not there says nothing."""
    found: dict[str, int] = {}
    with suppress(OSError, UnicodeDecodeError):
        for line in Path(path).read_text().splitlines():
            name, *values = line.replace(":", " ").split() or [""]
            if values and values[0].isdigit():
                found[name] = int(values[0])
    return found
