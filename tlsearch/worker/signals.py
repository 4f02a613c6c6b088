"""Turns a signal into a request to release the trial, and a second one into an end at once.

A worker that holds a trial, or is claiming one, is between `hold` and `release`: a signal is only
noted there, and the worker obeys it at `release`, with the trial back in the queue. Elsewhere a
signal ends the worker at once, as an exception in the main thread.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType

from tlsearch.importing import is_importing

_SEND_AGAIN_SECONDS = 0.02


class StopRequest(threading.Event):
    """An event that a signal handler may set.

    threading.Event may not be: the thread that the handler interrupts may hold its lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made = False
        self._queue: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Whether it was made."""
        return self._made

    def set(self) -> None:
        """Make it."""
        self._made = True
        self._queue.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, so many seconds at most; return whether it was made."""
        if not self._made:
            with suppress(Empty):
                self._queue.put(self._queue.get(timeout=timeout))
        return self._made


class StopSignals:
    """Whether the worker was asked to end.

    Attributes:
        requested: set by the first SIGTERM or SIGINT.
    """

    def __init__(self) -> None:
        self.requested = StopRequest()
        self._signal = signal.SIGTERM
        self._holding = False

    @property
    def by(self) -> str:
        """Name of the signal."""
        return self._signal.name

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over SIGTERM and SIGINT, if this is the main thread, until the block ends."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        for each in before:
            signal.signal(each, self._received)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def hold(self) -> None:
        """Only note signals from now on: a trial is held, or being claimed."""
        self._holding = True

    def release(self) -> None:
        """Let signals end the worker at once from now on, also one that came meanwhile."""
        self._holding = False
        if self.requested.is_set():
            self.leave()

    def leave(self) -> None:
        """End as Python does on the signal that came: KeyboardInterrupt, or SystemExit(143)."""
        if self._signal is signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self._signal)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if not self._holding and is_importing(frame):
            _thread.start_new_thread(_send_again, (number,))  # takes no lock, unlike threading
            return
        if self.requested.is_set() and self._holding:
            _write_stderr("stopped at once; another worker takes the trial over\n")
            os._exit(128 + number)
        self._signal = signal.Signals(number)
        self.requested.set()
        if not self._holding:
            self.leave()
        _write_stderr(
            f"{self.by}: the trial under way goes back into the queue; again to stop at once\n"
        )


def _send_again(number: int) -> None:
    """Send the main thread a signal that came inside an import, until the import is over."""
    time.sleep(_SEND_AGAIN_SECONDS)
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, number)


def _write_stderr(words: str) -> None:
    """Write past Python's buffers, which the interrupted code may be using."""
    with suppress(OSError, ValueError):  # stderr may be closed
        os.write(sys.stderr.fileno(), words.encode())
