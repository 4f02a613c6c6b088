"""What a worker says while it works."""

import logging
from collections.abc import Callable
from typing import Protocol

from tlsearch.errors import described
from tlsearch.records import EpochReport, TrialRecord

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """Is told what a worker does; the command line shows it."""

    def at_study(self, name: str) -> None:
        """What follows is of this study; called again with every turn."""

    def preparing(self, what: str) -> None:
        """Something slow begins, or a problem came up that costs no trial."""

    def measuring(self, what: str) -> None:
        """The study is being measured; called again as that goes on."""

    def note(self, what: str) -> None:
        """Something to be kept in view, such as how long the study will take."""

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """A trial was claimed; `counts` are the study's trials by state."""

    def epoch(self, number: int, report: EpochReport) -> None:
        """An epoch of the current trial is over."""

    def ended(self, trial: TrialRecord) -> None:
        """The current trial is over."""


class SilentProgress:
    """Says nothing."""

    def at_study(self, name: str) -> None:
        """Ignore."""

    def preparing(self, what: str) -> None:
        """Ignore."""

    def measuring(self, what: str) -> None:
        """Ignore."""

    def note(self, what: str) -> None:
        """Ignore."""

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """Ignore."""

    def epoch(self, number: int, report: EpochReport) -> None:
        """Ignore."""

    def ended(self, trial: TrialRecord) -> None:
        """Ignore."""


class HarmlessProgress:
    """Passes on what a worker says; where that cannot be shown, work goes on.

    The first such problem is logged. Closed output ends the worker all the same: that is no
    Exception but SystemExit.

    Args:
        shown: where to show it.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._failed = False

    def at_study(self, name: str) -> None:
        """Pass it on."""
        self._try(lambda: self._shown.at_study(name))

    def preparing(self, what: str) -> None:
        """Pass it on."""
        self._try(lambda: self._shown.preparing(what))

    def measuring(self, what: str) -> None:
        """Pass it on."""
        self._try(lambda: self._shown.measuring(what))

    def note(self, what: str) -> None:
        """Pass it on."""
        self._try(lambda: self._shown.note(what))

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """Pass it on."""
        self._try(lambda: self._shown.claimed(number, attempt, counts))

    def epoch(self, number: int, report: EpochReport) -> None:
        """Pass it on."""
        self._try(lambda: self._shown.epoch(number, report))

    def ended(self, trial: TrialRecord) -> None:
        """Pass it on."""
        self._try(lambda: self._shown.ended(trial))

    def _try(self, show: Callable[[], None]) -> None:
        try:
            show()
        except Exception as error:
            if not self._failed:
                self._failed = True
                _log.warning("progress cannot be shown, work goes on: %s", described(error))
