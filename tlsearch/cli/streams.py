"""What a command relies on: three open streams that take any character, and a sensible width."""

import codecs
import os
import sys
from contextlib import suppress
from typing import TextIO

_SIZES = ("COLUMNS", "LINES", "TERMINAL_WIDTH")  # read by rich and typer
_LARGEST_SIZE = 10_000


_PLAIN = {"±": "+-", "→": "->", "…": "..."}


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Write our own signs in ASCII, and other characters that an encoding has not as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    escaped = (_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return "".join(escaped), error.end


codecs.register_error("tlsearch.plainly", _plainly)


def prepare_streams() -> None:
    """Make up for streams that were closed, narrow encodings, and sizes such as COLUMNS=0."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would be taken for the stream
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="tlsearch.plainly")
    for name in _SIZES:
        if not _is_size(os.environ.get(name, "1")):
            del os.environ[name]


def shows(text: str) -> bool:
    """Whether standard output takes these characters as they are."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True


def flush_output() -> str | None:
    """Write what is left of standard output; return why it cannot be written, None if it can.

    What cannot be written is discarded: else Python would try again at its end, and complain.

    Raises:
        BrokenPipeError: nobody reads it any more.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        return error.strerror or str(error)
    except ValueError:  # it was closed
        return None
    return None


def output_is_full() -> str | None:
    """Return why standard output takes no more, after a command failed to write somewhere."""
    why = flush_output()
    if why is not None:
        return why
    try:
        os.write(sys.stdout.fileno(), b"\n")  # without a buffer, what failed is not there any more
    except ValueError:  # it has no file
        return None
    except OSError as error:
        discard(sys.stdout)
        return error.strerror or str(error)
    return None


def discard(stream: TextIO) -> None:
    """Send what is still written to a stream to /dev/null."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _LARGEST_SIZE
