"""How a worker's exit ends its slot."""

import enum
import signal
from dataclasses import dataclass

from tlsearch.launcher.slots import Slot

_DATABASE_AWAY = "database"  # exit code 2, but the database may come back: a crash


class Ending(enum.Enum):
    """How a slot ended."""

    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"
    GIVEN_UP = "given up"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class SlotSummary:
    """What a slot did.

    Attributes:
        slot: the slot.
        trials_ended: trials that its workers ended.
        restarts: how often a worker was started again after a crash.
        exit_code: of the last worker, 128 + N for signal N as shells write it; None if it could
            not be started.
        ending: how it ended.
    """

    slot: Slot
    trials_ended: int
    restarts: int
    exit_code: int | None
    ending: Ending


def ending_of(exit_code: int, reported: str | None, asked_to_stop: bool) -> Ending | None:
    """Return how a worker's exit ends its slot; None for a crash.

    Args:
        exit_code: as `subprocess` gives it.
        reported: what the worker itself reported as `how` it ended, if it did.
        asked_to_stop: whether the launcher asked it to stop.
    """
    if exit_code == 0:
        return Ending.DONE
    if asked_to_stop:
        return Ending.INTERRUPTED
    if exit_code == 2 and reported != _DATABASE_AWAY:
        return Ending.REFUSED
    if reported == "stopped":
        return Ending.STOPPED
    return None


def shell_code(exit_code: int) -> int:
    """Return an exit code as a shell writes it: 128 + N for signal N."""
    return exit_code if exit_code >= 0 else 128 - exit_code


def describe_exit(exit_code: int) -> str:
    """Say in words how a process ended; `exit_code` is as `subprocess` gives it."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"
