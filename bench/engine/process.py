"""Runs a command, and says how long it took and what memory it had at most.

    python -m bench.engine.process COMMAND ...   # its output, then a line of JSON

A process starts with the peak of memory of the one that started it. So commands are started by a
small one: this file as a program.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .places import ROOT


@dataclass(frozen=True)
class Ran:
    """A command that succeeded.

    Attributes:
        text: what it printed and said.
        seconds: from its start to its end.
        cpu_seconds: of its own, and of its children's that it waited for.
        peak_mb: of its own memory, shared pages and mapped files included.
    """

    text: str
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def json(self) -> dict[str, Any]:
        """The last line of JSON that it printed."""
        return _last_json(self.text)


def run(command: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Run a command in the project's root.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    starter = [sys.executable, "-m", "bench.engine.process", *command]
    done = subprocess.run(
        starter,
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        end = done.stdout[-2000:]
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {end}")
    text, _, measured = done.stdout.rstrip("\n").rpartition("\n")
    return Ran(text=text, **json.loads(measured))


def main(command: Sequence[str]) -> int:
    """Run the command, and return what it ended with."""
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_seconds, peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    found = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb}
    print(f"\n{json.dumps(found)}", flush=True)
    return process.returncode


def _last_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        next(line for line in reversed(text.splitlines()) if line.startswith("{"))
    )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
