"""Something moves at least every five seconds, whatever a command waits for."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

QUIET_SECONDS = 4.7  # after them something is shown, though nothing is new
_FIRST_SECONDS = 1.0  # a command that takes longer says that it has begun
_SLOW_COMMANDS = {"check", "create", "worker", "measure", "quickstart", "plan", "export"}


class Ticker:
    """Calls a function a few times a second in a thread, until it is stopped.

    Args:
        tick: what to call; what it raises ends the ticking, not the program.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self) -> None:
        """End; may be repeated, and be called without `start`."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _run(self) -> None:
        with suppress(Exception, SystemExit):
            while not self._over.wait(0.2):
                self._tick()


class Beginning:
    """Says that a slow command has begun, until it shows something itself.

    Attributes:
        began: when, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.began = self._said = time.monotonic()
        self._ticker = Ticker(self._show)
        self._any = False

    def begin(self, args: Sequence[str]) -> None:
        """Watch a command that is slow and prints for people."""
        self.began = self._said = time.monotonic()
        if set(args[:1]) & _SLOW_COMMANDS and not any("json" in arg for arg in args):
            self._ticker = Ticker(self._show)
            self._any = False
            self._ticker.start()

    def end(self) -> float:
        """Say no more, and return when something was said last; may be repeated."""
        self._ticker.stop()
        return self._said

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._said < (QUIET_SECONDS if self._any else _FIRST_SECONDS):
            return
        sofar = f" ({now - self.began:.0f} s so far)" if self._any else ""
        self._said, self._any = now, True
        sys.stdout.write(f"starting ...{sofar}\n")
        sys.stdout.flush()


beginning = Beginning()
