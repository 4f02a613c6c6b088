"""The most memory that this process, or a device, has had from some moment on."""

import resource
from contextlib import suppress
from pathlib import Path

import torch

_FORGET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class Peak:
    """Measures from its creation on.

    Of a CUDA device it is what torch reserves there; what CUDA itself takes, some hundred MB, is
    not in it. Of the CPU it is the whole process; where the system cannot forget an earlier peak,
    that counts as well.

    Args:
        device: where to train.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        with suppress(OSError):
            _FORGET.write_text("5")  # proc(5): resets the peak of the resident set

    def bytes(self) -> int:
        """Return the peak so far."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(self._device))
        with suppress(OSError):
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
