"""The entry point of the `tlsearch` command; everything else is imported after its signals are set.

An exception that a signal handler raises inside an import is caught by some library or printed as
a traceback, so `handling_signals` comes first.
"""

import os
import sys

from tlsearch.cli.logs import resetting_logging, write_error
from tlsearch.cli.signals import handling_signals
from tlsearch.errors import TlsearchError, first_line, is_memory_shortage
from tlsearch.threads import spin_shortly


def main() -> None:
    """Run the command line; what a user can fix is one sentence a problem and exit code 2."""
    spin_shortly()
    with handling_signals(), resetting_logging():
        _run()


def _run() -> None:
    try:
        from tlsearch.cli.app import app

        app()
    except TlsearchError as error:
        for line in str(error).splitlines():
            write_error(line)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        sentence = _memory_sentence(error) or _database_sentence(error)
        if sentence is None:
            raise
        write_error(sentence)
        sys.exit(2)


def _memory_sentence(error: Exception) -> str | None:
    if not is_memory_shortage(error):
        return None
    return f"too little memory ({first_line(error)}); end other programs or raise the limit"


def _database_sentence(error: Exception) -> str | None:
    """Return a sentence on an error of the database; None for any other error."""
    if "sqlalchemy" not in sys.modules:
        return None
    from tlsearch.store.error_messages import explained

    return explained(error)


if __name__ == "__main__":
    main()
