"""Keeps the worker of one slot running."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tlsearch.launcher.child import Child
from tlsearch.launcher.listener import Listener
from tlsearch.launcher.restarts import RestartPolicy, Restarts
from tlsearch.launcher.slots import Slot
from tlsearch.launcher.state import Ending, SlotSummary, describe_exit, ending_of, shell_code

Command = Callable[[Slot, int], Sequence[str] | None]

_log = logging.getLogger(__name__)


class Supervisor:
    """Starts a slot's worker, reads what it writes, and starts it again when it crashes.

    Args:
        slot: the slot.
        command: makes the worker's command line from the slot and the trials it ended so far;
            None if nothing is left to do.
        environment: of the worker.
        listener: told what happens.
        restart_policy: how often a crashed worker is started again, and when.
        secrets: words that are never shown.
    """

    def __init__(
        self,
        slot: Slot,
        command: Command,
        environment: Mapping[str, str],
        listener: Listener,
        restart_policy: RestartPolicy,
        secrets: Sequence[str],
    ) -> None:
        self._slot = slot
        self._command = command
        self._environment = environment
        self._listener = listener
        self._restarts = Restarts(restart_policy)
        self._secrets = secrets
        self._child: Child | None = None
        self._starts_at = time.monotonic()
        self._n_starts = 0
        self._trials_ended = 0
        self._reported_end: str | None = None
        self._asked_to_stop = False
        self._exit_code: int | None = None
        self._ending: Ending | None = None

    def step(self) -> bool:
        """Do what is due now; return whether the slot goes on."""
        if self._ending is not None:
            return False
        if self._child is not None:
            self._poll(self._child)
        elif time.monotonic() >= self._starts_at:
            self._start()
        return self._ending is None

    def pipes(self) -> list[int]:
        """Return the file descriptors of the pipes on which its worker may write."""
        return self._child.open_pipes() if self._child else []

    def stop(self) -> None:
        """Ask the worker to stop; a crashed worker is not started again."""
        self._asked_to_stop = True
        if self._child is not None:
            self._child.terminate()
        elif self._ending is None:
            self._end(Ending.INTERRUPTED)

    def kill(self) -> None:
        """Kill the worker."""
        if self._child is not None:
            self._child.kill()

    def close_pipes(self) -> None:
        """Close the pipes of the worker, which then stops by itself."""
        if self._child is not None:
            self._child.close()

    def wait(self, seconds: float) -> None:
        """Wait until the worker ends; kill it after so many seconds."""
        if self._child is not None:
            self._child.wait(seconds)

    def summary(self) -> SlotSummary:
        """Return what the slot did, once it has ended."""
        assert self._ending is not None
        restarts = max(0, self._n_starts - 1)
        return SlotSummary(self._slot, self._trials_ended, restarts, self._exit_code, self._ending)

    def _start(self) -> None:
        argv = self._command(self._slot, self._trials_ended)
        if argv is None:
            self._end(Ending.DONE)
            return
        self._listener.state(self._slot, "starts again" if self._n_starts else "starts")
        self._n_starts += 1
        self._reported_end = None
        try:
            self._child = Child(argv, self._environment, self._secrets)
            self._log("worker started, pid %d", self._child.pid)
        except OSError as error:
            self._crashed(f"cannot be started ({error.strerror})", 0.0)

    def _poll(self, child: Child) -> None:
        exit_code = child.exit_code()  # asked first: then all that it wrote is there to be read
        self._read(child)
        if exit_code is not None:
            self._child = None
            child.close()
            self._exited(child, exit_code)

    def _read(self, child: Child) -> None:
        stdout, stderr = child.read()
        for line in stdout:
            event = _progress_event(line)
            if event is None:
                self._listener.output(self._slot, line)
            else:
                self._progress(event)
        for line in stderr:
            self._listener.output(self._slot, line)

    def _progress(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "ended":
            self._trials_ended += 1
            self._restarts.ended_trial()
        elif event["event"] == "done":
            self._reported_end = event.get("how")
        self._listener.progress(self._slot, event)

    def _exited(self, child: Child, exit_code: int) -> None:
        self._log("worker %s", describe_exit(exit_code))
        self._exit_code = shell_code(exit_code)
        ending = ending_of(exit_code, self._reported_end, self._asked_to_stop)
        if ending is not None:
            self._end(ending)
            return
        last_line = _message(child.last_error_line)
        last_line = f" ({last_line})" if last_line else ""
        ran_seconds = time.monotonic() - child.started_at
        self._crashed(describe_exit(exit_code) + last_line, ran_seconds)

    def _crashed(self, how: str, ran_seconds: float) -> None:
        delay = self._restarts.crashed(ran_seconds)
        if delay is not None:
            self._starts_at = time.monotonic() + delay
            self._log("worker crashed, restarts in %g s", delay)
            self._report_crash(how, f"starts again in {delay:g} s")
            return
        self._report_crash(
            how,
            "given up: it crashed several times in a row without ending a trial; fix the cause "
            "and start tlsearch worker again",
        )
        self._end(Ending.GIVEN_UP)

    def _report_crash(self, how: str, then: str) -> None:
        self._listener.problem(self._slot, f"the worker {how}; {then}")
        self._listener.state(self._slot, f"crashed; {then.partition(':')[0]}")

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        n = self._trials_ended
        self._log("ended: %s, trials: %d", ending.value, n)
        self._listener.state(self._slot, f"{ending.value}; {n} trial{'s' * (n != 1)}")

    def _log(self, message: str, *values: object) -> None:
        _log.info(message, *values, extra={"slot": self._slot.name})


def _progress_event(line: str) -> dict[str, Any] | None:
    """Return the object of a line of JSON progress; None for any other line."""
    found = _json_object(line)
    return found if "event" in found else None


def _message(line: str) -> str:
    """Return the message of a log record in JSON, or any other line as it is."""
    return str(_json_object(line).get("message", line))


def _json_object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
