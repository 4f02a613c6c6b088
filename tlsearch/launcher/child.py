"""One worker's process and what it writes."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO

_LONGEST_LINE = 1 << 16


class Child:
    """A process in a session of its own, so that a terminal's Ctrl-C does not reach it.

    Its standard input is a pipe that stays open as long as its launcher lives: when the pipe ends,
    the launcher is gone, even if it was killed, and the process should stop.

    Attributes:
        started_at: when, on the monotonic clock, in seconds.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], secrets: Sequence[str] = ()
    ) -> None:
        self.started_at = time.monotonic()
        self._secrets = secrets
        self._process = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdout = _Lines(self._process.stdout)
        self._stderr = _Lines(self._process.stderr)
        self._last_error_line: deque[str] = deque(maxlen=1)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def last_error_line(self) -> str:
        """The last line of its standard error that is not empty."""
        return "".join(self._last_error_line)

    def exit_code(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def open_pipes(self) -> list[int]:
        """Return the file descriptors of the pipes on which it may still write."""
        return [lines.pipe.fileno() for lines in (self._stdout, self._stderr) if lines.open]

    def read(self) -> tuple[list[str], list[str]]:
        """Return the lines it has written since the last call on stdout and stderr; never waits."""
        stdout, stderr = map(self._without_secrets, (self._stdout.read(), self._stderr.read()))
        self._last_error_line.extend(line for line in stderr if line.strip())
        return stdout, stderr

    def _without_secrets(self, lines: list[str]) -> list[str]:
        for secret in self._secrets:
            lines = [line.replace(secret, "***") for line in lines]
        return lines

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill it, and what it started in its session."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close its pipes; a worker that still runs notices and stops."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def wait(self, seconds: float) -> None:
        """Wait until it ends; kill it after so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


class _Lines:
    """Reads a pipe line by line without waiting."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.pipe = pipe
        self.open = True
        self._incomplete = b""
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> list[str]:
        """Return the lines that are complete now."""
        while self.open and self._read_some():
            pass
        *lines, self._incomplete = re.split(rb"[\r\n]", self._incomplete)
        if not self.open or len(self._incomplete) > _LONGEST_LINE:
            lines.append(self._incomplete)
            self._incomplete = b""
        return [line.decode(errors="replace") for line in lines if line]

    def _read_some(self) -> bool:
        try:
            read = os.read(self.pipe.fileno(), _LONGEST_LINE)
        except BlockingIOError:
            return False
        self.open = bool(read)
        self._incomplete += read
        return len(self._incomplete) <= _LONGEST_LINE
