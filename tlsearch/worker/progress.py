"""What a worker tells of itself while it works."""

from typing import Protocol

from tlsearch.records import EpochReport, TrialRecord


class Progress(Protocol):
    """Receives a worker's news; the command line shows them."""

    def at_study(self, name: str) -> None:
        """What is told from now on is of this study; told again with every turn."""

    def preparing(self, what: str) -> None:
        """Something slow begins before the first trial."""

    def measuring(self, what: str) -> None:
        """The study is being measured; told again as it goes on."""

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
