"""The entry point of the `tlsearch` command; everything else is imported after its signals are set.

An exception that a signal handler raises inside an import is caught by some library or printed as
a traceback, so `handling_signals` comes first.
"""

import errno
import os
import sys
from typing import NoReturn

from tlsearch.cli.logs import resetting_logging, write_error
from tlsearch.cli.signals import handling_signals
from tlsearch.cli.streams import discard, flush_output, output_is_full, prepare_streams
from tlsearch.cli.ticker import beginning
from tlsearch.errors import TlsearchError, first_line, is_memory_shortage
from tlsearch.threads import spin_shortly


def main() -> None:
    """Run the command line; what a user can fix is one sentence a problem and exit code 2."""
    prepare_streams()
    spin_shortly()
    with handling_signals(), resetting_logging():
        _run()


def _run() -> None:
    """Run a command, and write all of its output; that may fail at any moment (a full disk)."""
    code: str | int | None = 0
    beginning.begin(sys.argv[1:])
    try:
        _run_command()
    except SystemExit as ended:
        code = ended.code
    except OSError:
        if (why := output_is_full()) is None:
            raise
        _refuse_output(why, 2)
    finally:
        beginning.end()
    try:
        why = flush_output()
    except BrokenPipeError:
        discard(sys.stdout)
        sys.exit(code or 1)
    if why is not None:
        _refuse_output(why, code or 2)
    sys.exit(code)


def _refuse_output(why: str, code: str | int) -> NoReturn:
    write_error(f"standard output cannot be written ({why}); make room, or send it elsewhere")
    sys.exit(code)


def _run_command() -> None:
    try:
        from tlsearch.cli.app import app

        app()
    except TlsearchError as error:
        beginning.end()
        for line in str(error).splitlines():
            write_error(line)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        discard(sys.stdout)
        sys.exit(1)
    except Exception as error:
        sentence = _memory_sentence(error) or _database_sentence(error) or _system_sentence(error)
        if sentence is None:
            raise
        write_error(sentence)
        sys.exit(2)


def _memory_sentence(error: Exception) -> str | None:
    if not is_memory_shortage(error):
        return None
    return f"too little memory ({first_line(error)}); end other programs or raise the limit"


def _system_sentence(error: Exception) -> str | None:
    """Return a sentence on a file that cannot be used, or on too many open ones."""
    if not isinstance(error, OSError) or isinstance(error, BrokenPipeError):
        return None
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit (ulimit -n), or end other programs"
    if error.filename is None or error.strerror is None:
        return None
    return f"{os.fsdecode(error.filename)}: {error.strerror}; check the file and its rights"


def _database_sentence(error: Exception) -> str | None:
    """Return a sentence on an error of the database; None for any other error."""
    if "sqlalchemy" not in sys.modules:
        return None
    from tlsearch.store.error_messages import explained

    return explained(error)


if __name__ == "__main__":
    main()
