"""SIGTERM and Ctrl-C from the first moment of a command; a worker takes them over when it begins.

No trial is held here, so both may end the process at once.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tlsearch.cli.logs import error_line
from tlsearch.importing import is_importing

_WORDS = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}


@contextmanager
def handling_signals() -> Iterator[None]:
    """End with exit code 143 on SIGTERM, and with 130 on SIGINT, until the block ends.

    Code that runs is left by SystemExit or KeyboardInterrupt, so that it can clean up. An import
    is not: the process ends inside it.
    """
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _received)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _received)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _received(number: int, frame: FrameType | None) -> None:
    if is_importing(frame):
        _write(_WORDS[signal.Signals(number)])
        os._exit(128 + number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    _write(_WORDS[signal.SIGTERM])
    raise SystemExit(128 + number)


def _write(sentence: str) -> None:
    """Write past Python's buffers, which the interrupted code may be using."""
    with suppress(OSError, ValueError):  # stderr may be closed
        os.write(sys.stderr.fileno(), error_line(sentence, prefix="").encode())
