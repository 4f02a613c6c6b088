"""The launcher: one worker a slot, kept running until the studies are done."""

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait

from tlsearch.launcher.listener import Listener
from tlsearch.launcher.restarts import RestartPolicy
from tlsearch.launcher.slots import Slot
from tlsearch.launcher.state import Ending, SlotSummary
from tlsearch.launcher.supervisor import Command, Supervisor

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 60.0  # for workers to release their trials after the launcher failed


class Launcher:
    """Runs a worker in each slot and restarts those that crash.

    A first SIGINT or SIGTERM asks all workers to stop, and they release their trials into the
    queue; a second one asks again, and they exit at once; a third kills them. Workers whose
    launcher dies see the end of their standard input and stop by themselves.

    Args:
        slots: where to run workers.
        command: makes a worker's command line (`WorkerCommand`).
        environment: of the workers.
        listener: told what happens.
        restart_policy: how often a crashed worker is started again, and when.
        secrets: words that are never shown.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        command: Command,
        environment: Mapping[str, str],
        listener: Listener,
        restart_policy: RestartPolicy | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        policy = restart_policy or RestartPolicy()
        self._listener = listener
        self._supervisors = [
            Supervisor(slot, command, environment, listener, policy, secrets) for slot in slots
        ]
        self._received: list[int] = []
        self._n_passed_on = 0

    @property
    def stopped_by(self) -> int | None:
        """The first signal that it received; None if all slots ended by themselves."""
        return self._received[0] if self._received else None

    def run(self) -> tuple[SlotSummary, ...]:
        """Run until all slots have ended; call it in the main thread, which receives signals."""
        try:
            with self._catching_signals():
                self._run()
        finally:
            for supervisor in self._supervisors:
                supervisor.close_pipes()
            for supervisor in self._supervisors:
                supervisor.wait(_LEAVE_SECONDS)
        return tuple(supervisor.summary() for supervisor in self._supervisors)

    def exit_code(self, summaries: Sequence[SlotSummary]) -> int:
        """Return what the command should exit with.

        128 + N after signal N; else 2 if a worker refused its input; else 1 if a slot ended before
        the study did; else 0.
        """
        if self.stopped_by is not None:
            return 128 + self.stopped_by
        endings = {summary.ending for summary in summaries}
        if Ending.REFUSED in endings:
            return 2
        return 0 if endings <= {Ending.DONE} else 1

    def _run(self) -> None:
        while self._step():
            wait(
                [pipe for supervisor in self._supervisors for pipe in supervisor.pipes()],
                _POLL_SECONDS,
            )

    def _step(self) -> bool:
        self._pass_on_signals()
        return any([supervisor.step() for supervisor in self._supervisors])

    def _pass_on_signals(self) -> None:
        """Pass on the signals received since the last call."""
        while self._n_passed_on < len(self._received):
            number = signal.Signals(self._received[self._n_passed_on])
            self._n_passed_on += 1
            _log.info("received %s, number %d", number.name, self._n_passed_on)
            if self._n_passed_on == 1:
                self._listener.problem(None, "stopping: running trials go back into the queue")
            for supervisor in self._supervisors:
                supervisor.stop() if self._n_passed_on < 3 else supervisor.kill()

    @contextmanager
    def _catching_signals(self) -> Iterator[None]:
        def note(signum: int, _: object) -> None:
            self._received.append(signum)

        caught = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(signum, note) for signum in caught]
        try:
            yield
        finally:
            for signum, handler in zip(caught, before, strict=True):
                signal.signal(signum, handler)
