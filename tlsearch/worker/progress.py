"""What a worker says while it works."""

from typing import Protocol

from tlsearch.records import EpochReport, TrialRecord


class Progress(Protocol):
    """Is told what a worker does; the command line shows it."""

    def at_study(self, name: str) -> None:
        """What follows is of this study; called again with every turn."""

    def preparing(self, what: str) -> None:
        """Something slow begins, or a problem came up that costs no trial."""

    def measuring(self, what: str) -> None:
        """The study is being measured; called again as that goes on."""

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

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """Ignore."""

    def epoch(self, number: int, report: EpochReport) -> None:
        """Ignore."""

    def ended(self, trial: TrialRecord) -> None:
        """Ignore."""
