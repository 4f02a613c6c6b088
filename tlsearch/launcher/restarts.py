"""When a worker that crashed is started again, and when its slot is given up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long to wait before a crashed worker starts again, and how often.

    Attributes:
        first_delay_seconds: after the first crash; doubled after each further one.
        longest_delay_seconds: no wait is longer.
        reset_after_seconds: a worker that ran at least so long waits only the first delay again.
        max_crashes: after so many in a row, with no trial ended in between, the slot is given up.
    """

    first_delay_seconds: float = 1.0
    longest_delay_seconds: float = 60.0
    reset_after_seconds: float = 60.0
    max_crashes: int = 5


class Restarts:
    """Counts the crashes of one slot."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._in_a_row = 0
        self._delay = policy.first_delay_seconds

    def ended_trial(self) -> None:
        """Note that the slot's worker ended a trial, so it can work."""
        self._in_a_row = 0
        self._delay = self._policy.first_delay_seconds

    def crashed(self, ran_seconds: float) -> float | None:
        """Note a crash.

        Args:
            ran_seconds: how long the worker had run.

        Returns:
            Seconds to wait before it starts again; None if it should not start again.
        """
        self._in_a_row += 1
        if self._in_a_row >= self._policy.max_crashes:
            return None
        if ran_seconds >= self._policy.reset_after_seconds:
            self._delay = self._policy.first_delay_seconds
        delay = self._delay
        self._delay = min(2 * delay, self._policy.longest_delay_seconds)
        return delay
