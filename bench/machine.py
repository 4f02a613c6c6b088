"""Describes the machine that a benchmark runs on."""

import contextlib
import os
import platform
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Neighbours:
    """Measures the CPU time of other processes from now on; works on Linux only."""

    def __init__(self) -> None:
        self._start = self._now()

    def cores(self) -> float | None:
        """Return how many cores they kept busy on average, or None if that is unknown."""
        if self._start is None or (now := self._now()) is None:
            return None
        elapsed, machine, own = (
            after - before for after, before in zip(now, self._start, strict=True)
        )
        return max(0.0, machine - own) / elapsed

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Return the time and the busy seconds of the machine and of this process tree."""
        try:
            tick = os.sysconf("SC_CLK_TCK")
            fields = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
            machine = (sum(fields) - fields[3] - fields[4]) / tick  # without idle and iowait
            own = _busy_ticks(str(os.getpid())) / tick
        except (OSError, ValueError):
            return None
        return time.monotonic(), machine, own


def commit(*measured: str) -> str:
    """Return the commit, and whether one of the measured files or folders differs from it."""
    try:
        changed = _git("status", "--porcelain", "--", *measured)
        return _git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu_name() -> str:
    """Return the processor's name, or its architecture where there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _busy_ticks(process: str) -> int:
    """Return the CPU ticks of a process and its descendants, those it waited for too."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return sum(map(int, fields[11:15])) + sum(map(_busy_ticks, children))


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
