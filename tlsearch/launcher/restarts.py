"""When a worker that crashed is started again, and when no more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait before a crashed worker starts again, and how often.

    Attributes:
        first_delay_seconds: after the first crash; doubled after each further one.
        longest_delay_seconds: no wait is longer.
        calm_seconds: a worker that ran so long begins with the first delay again.
        most_crashes: after so many in a row, with no trial ended in between, its slot is given up.
    """

    first_delay_seconds: float = 1.0
    longest_delay_seconds: float = 60.0
    calm_seconds: float = 60.0
    most_crashes: int = 5


class Restarts:
    """Counts the crashes of one slot."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._in_a_row = 0
        self._delay = patience.first_delay_seconds

    def ended_trial(self) -> None:
        """Note that the slot's worker ended a trial, so it can work."""
        self._in_a_row = 0
        self._delay = self._patience.first_delay_seconds

    def crashed(self, ran_seconds: float) -> float | None:
        """Note a crash.

        Args:
            ran_seconds: how long the worker had run.

        Returns:
            Seconds to wait before it starts again; None where it should not.
        """
        self._in_a_row += 1
        if self._in_a_row >= self._patience.most_crashes:
            return None
        if ran_seconds >= self._patience.calm_seconds:
            self._delay = self._patience.first_delay_seconds
        delay = self._delay
        self._delay = min(2 * delay, self._patience.longest_delay_seconds)
        return delay
