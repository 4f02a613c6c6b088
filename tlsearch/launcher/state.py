"""What becomes of a slot: how its workers end, and what that means."""

import enum
import signal
from dataclasses import dataclass

from tlsearch.launcher.slots import Slot

_CRASHED_THOUGH_EXIT_2 = "database"  # a database that went away may come back


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
        slot: where.
        trials_ended: trials that its workers ended.
        restarts: how often a worker was started again after a crash.
        exit_code: of the last worker, 128 + N for signal N as shells write it; None where it
            could not be started.
        ending: how it ended.
    """

    slot: Slot
    trials_ended: int
    restarts: int
    exit_code: int | None
    ending: Ending


def ending_of(exit_code: int, how: str | None, asked_to_stop: bool) -> Ending | None:
    """Return how a worker's end ends its slot; None for a crash.

    Args:
        exit_code: as `subprocess` gives it.
        how: what the worker itself said of its end, if it did.
        asked_to_stop: whether the launcher told it to.
    """
    if exit_code == 0:
        return Ending.DONE
    if asked_to_stop:
        return Ending.INTERRUPTED
    if exit_code == 2 and how != _CRASHED_THOUGH_EXIT_2:
        return Ending.REFUSED
    if how == "stopped":
        return Ending.STOPPED
    return None


def shell_code(exit_code: int) -> int:
    """Return an exit code as a shell writes it: 128 + N for signal N."""
    return exit_code if exit_code >= 0 else 128 - exit_code


def in_words(exit_code: int) -> str:
    """Say how a process ended."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"
