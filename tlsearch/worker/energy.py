"""What a GPU uses while a trial runs, by its own counter.

NVML, the library of NVIDIA's driver, has a counter of millijoules for each GPU since Volta
(`nvmlDeviceGetTotalEnergyConsumption`). It is asked directly, so no package is needed. Where it is
missing or refuses (no driver, an older GPU, a MIG slice), nothing is known and nothing is said.
"""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from tlsearch.records.energy import EnergySpan, energy_attrs

LIBRARY = "libnvidia-ml.so.1"
_BOOT = Path("/proc/sys/kernel/random/boot_id")

Counter = Callable[[], int | None]


@dataclass(frozen=True)
class EnergyUse:
    """The energy of a trial, from the moment an attempt began.

    Attributes:
        counter: the GPU's count, millijoules, and its name; None = there is none.
        begin: of this attempt.
        earlier: spans of earlier attempts.
    """

    counter: tuple[str, Counter] | None = None
    begin: int | None = None
    earlier: tuple[EnergySpan, ...] = ()

    @classmethod
    def now(cls, device: torch.device) -> "EnergyUse":
        """Begin to measure a device."""
        counter = counter_of(device)
        return cls(counter, counter[1]() if counter else None)

    def after(self, earlier: Sequence[EnergySpan]) -> "EnergyUse":
        """Return the same with what earlier attempts used."""
        return replace(self, earlier=tuple(earlier))

    def attrs(self) -> dict[str, object]:
        """Return the user attributes for the trial as of now; none where nothing is known."""
        if self.counter is None or self.begin is None:
            return energy_attrs(self.earlier)
        name, read = self.counter
        end = read()
        here = [EnergySpan(name, self.begin, end)] if end is not None and end >= self.begin else []
        return energy_attrs([*self.earlier, *here])


def counter_of(device: torch.device) -> tuple[str, Counter] | None:
    """Return the name and the counter of a CUDA device; None of others, and where NVML has none."""
    if device.type != "cuda":
        return None
    with suppress(Exception):  # what is only shown never costs a trial
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        counter = nvml_counter(uuid)
        return None if counter is None else (f"{uuid} since {_boot()}", counter)
    return None


@lru_cache(maxsize=8)
def nvml_counter(uuid: str, library: str = LIBRARY) -> Counter | None:
    """Return what reads the energy counter of a GPU; None where NVML does not give it.

    Args:
        uuid: of the GPU, such as `GPU-1b2c...`.
        library: NVML.
    """
    try:
        nvml = ctypes.CDLL(library)
        handle = ctypes.c_void_p()
        found = nvml.nvmlInit_v2() == 0 and (
            nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) == 0
        )
        ask = nvml.nvmlDeviceGetTotalEnergyConsumption
    except (OSError, AttributeError):  # no such library, or an older one
        return None

    def read() -> int | None:
        millijoules = ctypes.c_ulonglong()
        right = ask(handle, ctypes.byref(millijoules)) == 0
        return int(millijoules.value) if right else None

    return read if found and read() is not None else None


@lru_cache(maxsize=1)
def _boot() -> str:
    """Return what differs once the machine, and with it the counter, has started anew."""
    try:
        return f"boot {_BOOT.read_text().strip()[:8]}"
    except OSError:
        return "an unknown time"
