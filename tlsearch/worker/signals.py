"""Turns signals into a request to let go of the trial, and a second one into an end at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType


class Request(threading.Event):
    """An event that a signal handler may set.

    threading.Event may not be: the thread that the handler interrupts may hold its lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made = False
        self._news: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Whether it was made."""
        return self._made

    def set(self) -> None:
        """Make it."""
        self._made = True
        self._news.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, so many seconds at most; return whether it was made."""
        if not self._made:
            with suppress(Empty):
                self._news.put(self._news.get(timeout=timeout))
        return self._made


class Shutdown:
    """Whether the worker was asked to end.

    Attributes:
        requested: set by the first SIGTERM or SIGINT.
    """

    def __init__(self) -> None:
        self.requested = Request()
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
        """From now on a signal is only noted: a trial is held, or being claimed."""
        self._holding = True

    def release(self) -> None:
        """From now on a signal ends the worker at once, and so does one that came meanwhile."""
        self._holding = False
        if self.requested.is_set():
            self.leave()

    def leave(self) -> None:
        """End as Python does on the signal that came: KeyboardInterrupt, or SystemExit(143)."""
        if self._signal is signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self._signal)

    def _received(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.requested.is_set() and self._holding:
            _say("stopped at once; another worker takes the trial over\n")
            os._exit(128 + number)
        self._signal = signal.Signals(number)
        self.requested.set()
        if not self._holding:
            self.leave()
        _say(f"{self.by}: the trial under way goes back into the queue; again to stop at once\n")


def _say(words: str) -> None:
    """Write past Python's buffers, which the interrupted code may be using."""
    with suppress(OSError, ValueError):  # whoever read it may be gone
        os.write(sys.stderr.fileno(), words.encode())
