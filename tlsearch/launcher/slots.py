"""Where the workers of one machine run: a slot a process."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tlsearch.errors import InputError

_COUNT_SCRIPT = "import torch; print(torch.cuda.device_count())"
_INSTEAD = "use --processes N for several processes on the CPU"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one worker.

    Attributes:
        name: what to call it, as in `cuda:0/2`.
        device: the device it works on, as in `cuda:0`.
    """

    name: str
    device: str


def count_gpus() -> int:
    """Return how many CUDA devices torch sees, CUDA_VISIBLE_DEVICES applied.

    A separate process counts: otherwise the launcher would hold torch's memory, and perhaps a
    CUDA context, as long as it runs.

    Raises:
        InputError: torch cannot count them.
    """
    done = subprocess.run(
        [sys.executable, "-c", _COUNT_SCRIPT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(f"--gpus: PyTorch cannot count the GPUs ({why}); fix that, or {_INSTEAD}")
    return int(done.stdout.split()[-1])


def choose_gpus(wanted: str, n_gpus: int | None = None) -> tuple[int, ...]:
    """Return the GPUs that `--gpus all` or `--gpus 0,2` means.

    Args:
        wanted: what was given.
        n_gpus: how many the machine has; None = not counted yet: then only the text is checked,
            and `all` gives none.

    Raises:
        InputError: no such GPUs, or not a list of numbers.
    """
    ids = None if wanted.strip() == "all" else _ids(wanted)
    if n_gpus is None:
        return ids or ()
    if n_gpus == 0:
        raise InputError(
            f"--gpus {wanted}: PyTorch sees no CUDA device on this machine; {_INSTEAD}"
        )
    ids = tuple(range(n_gpus)) if ids is None else ids
    for number in ids:
        if number >= n_gpus:
            has = (
                f"{n_gpus} CUDA devices, 0 to {n_gpus - 1}" if n_gpus > 1 else "one CUDA device, 0"
            )
            raise InputError(f"--gpus {wanted}: there is no GPU {number}; this machine has {has}")
    return ids


def _ids(wanted: str) -> tuple[int, ...]:
    parts = [part.strip() for part in wanted.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdecimal()):
            raise InputError(
                f"--gpus {wanted!r}: {part!r} is not the number of a GPU; give all, or numbers: 0,2"
            )
    ids = tuple(int(part) for part in parts)
    for number in ids:
        if ids.count(number) > 1:
            raise InputError(
                f"--gpus {wanted}: GPU {number} is named more than once; name it once, and use "
                "--per-gpu K for several processes on each"
            )
    return ids


def gpu_slots(ids: Sequence[int], per_gpu: int) -> tuple[Slot, ...]:
    """Return so many slots on each of these GPUs, GPU by GPU."""
    return tuple(slot for number in ids for slot in process_slots(per_gpu, f"cuda:{number}"))


def process_slots(n_processes: int, device: str) -> tuple[Slot, ...]:
    """Return so many slots on one device; their names count from 1."""
    return tuple(Slot(f"{device}/{n}", device) for n in range(1, n_processes + 1))


def threads_each(n_slots: int) -> int:
    """Return a slot's share of the CPU cores this process may use, at least one.

    CPU affinity and a container's CPU quota are taken into account.
    """
    from joblib import cpu_count

    return max(1, int(cpu_count()) // n_slots)
