"""Log records of the worker, the launcher and the dashboard server, on standard error.

Loggers are named by module (`tlsearch.worker.loop`). A record that concerns a study, a trial, an
attempt or a slot carries it: `log.info("claimed", extra={"study": "cars", "trial": 3})`.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

from tlsearch.cli.streams import discard

CONTEXT = ("study", "trial", "attempt", "slot")
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogLevel(StrEnum):
    """The least severe level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, message, and its context."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object on one line; the time is in UTC."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: vars(record)[name] for name in CONTEXT if name in vars(record)}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is now: a live display replaces it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except OSError:  # stderr was closed
            pass
        except Exception:
            self.handleError(record)


@contextmanager
def resetting_logging() -> Iterator[None]:
    """Undo `set_up_logging` when the block ends: a process may run several commands."""
    try:
        yield
    finally:
        root = logging.getLogger()
        for handler in _own_handlers():
            root.removeHandler(handler)
        root.setLevel(logging.WARNING)
        logging.getLogger("tlsearch").setLevel(logging.NOTSET)
        logging.captureWarnings(False)


def set_up_logging(level: LogLevel, as_json: bool) -> None:
    """Write log records to standard error, as text or as one JSON object a line.

    Other libraries' records are written from the level `warning`, or `level` if that is higher.
    """
    handler = _StderrHandler()
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(_TEXT))
    root = logging.getLogger()
    root.addHandler(handler)
    number = logging.getLevelNamesMapping()[level.value.upper()]
    logging.getLogger("tlsearch").setLevel(number)
    root.setLevel(max(number, logging.WARNING))
    logging.captureWarnings(as_json)


def json_is_on() -> bool:
    """Whether standard error carries JSON objects only."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in _own_handlers())


def _own_handlers() -> list[_StderrHandler]:
    return [each for each in logging.getLogger().handlers if isinstance(each, _StderrHandler)]


def write_error(sentence: str) -> None:
    """Write a sentence on standard error, for people or, with `--log-json`, for programs."""
    try:
        sys.stderr.write(error_line(sentence))
        sys.stderr.flush()
    except OSError:  # the exit code says it
        discard(sys.stderr)


def error_line(sentence: str, prefix: str = "error: ") -> str:
    """Return a sentence as a line of standard error."""
    if not json_is_on():
        return f"{prefix}{sentence}\n"
    record = logging.LogRecord("tlsearch", logging.ERROR, "", 0, sentence, None, None)
    return JsonFormatter().format(record) + "\n"
