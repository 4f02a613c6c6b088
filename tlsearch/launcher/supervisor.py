"""Keeps the worker of one slot running."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tlsearch.launcher.child import Child
from tlsearch.launcher.listener import Listener
from tlsearch.launcher.restarts import Patience, Restarts
from tlsearch.launcher.slots import Slot
from tlsearch.launcher.state import Ending, SlotSummary, ending_of, in_words, shell_code

Command = Callable[[Slot, int], Sequence[str] | None]


class Supervisor:
    """Starts a slot's worker, listens to it, and starts it again when it crashes.

    Args:
        slot: the slot.
        command: makes the worker's command line from the slot and the trials it ended so far;
            None where there is nothing left to do.
        environment: of the worker.
        listener: told what happens.
        patience: how often a crashed worker is started again, and when.
        secrets: words that are never shown.
    """

    def __init__(
        self,
        slot: Slot,
        command: Command,
        environment: Mapping[str, str],
        listener: Listener,
        patience: Patience,
        secrets: Sequence[str],
    ) -> None:
        self._slot = slot
        self._command = command
        self._environment = environment
        self._listener = listener
        self._restarts = Restarts(patience)
        self._secrets = secrets
        self._child: Child | None = None
        self._starts_at = time.monotonic()
        self._n_starts = 0
        self._trials_ended = 0
        self._how: str | None = None
        self._asked_to_stop = False
        self._exit_code: int | None = None
        self._ending: Ending | None = None

    def step(self) -> bool:
        """Do what is to be done now; return whether the slot goes on."""
        if self._ending is not None:
            return False
        if self._child is not None:
            self._look_after(self._child)
        elif time.monotonic() >= self._starts_at:
            self._start()
        return self._ending is None

    def pipes(self) -> list[int]:
        """Return the file descriptors of the pipes on which its worker may write."""
        return self._child.open_pipes() if self._child else []

    def stop(self) -> None:
        """Ask the worker to stop; one that crashed is not started again."""
        self._asked_to_stop = True
        if self._child is not None:
            self._child.terminate()
        elif self._ending is None:
            self._end(Ending.INTERRUPTED)

    def kill(self) -> None:
        """End the worker at once."""
        if self._child is not None:
            self._child.kill()

    def let_go(self) -> None:
        """Close the pipes of the worker, which then stops by itself."""
        if self._child is not None:
            self._child.close()

    def wait(self, seconds: float) -> None:
        """Wait for the worker's end, and kill it after so long."""
        if self._child is not None:
            self._child.wait(seconds)

    def summary(self) -> SlotSummary:
        """Return what the slot did, once it is over."""
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
        self._how = None
        try:
            self._child = Child(argv, self._environment, self._secrets)
        except OSError as error:
            self._crashed(f"cannot be started ({error.strerror})", 0.0)

    def _look_after(self, child: Child) -> None:
        exit_code = child.exit_code()  # asked first: all that it wrote is there to be read then
        self._listen(child)
        if exit_code is not None:
            self._child = None
            child.close()
            self._judge(child, exit_code)

    def _listen(self, child: Child) -> None:
        stdout, stderr = child.read()
        for line in stdout:
            news = _news(line)
            if news is None:
                self._listener.said(self._slot, line)
            else:
                self._heard(news)
        for line in stderr:
            self._listener.said(self._slot, line)

    def _heard(self, news: Mapping[str, Any]) -> None:
        if news["event"] == "ended":
            self._trials_ended += 1
            self._restarts.ended_trial()
        elif news["event"] == "done":
            self._how = news.get("how")
        self._listener.news(self._slot, news)

    def _judge(self, child: Child, exit_code: int) -> None:
        self._exit_code = shell_code(exit_code)
        ending = ending_of(exit_code, self._how, self._asked_to_stop)
        if ending is not None:
            self._end(ending)
            return
        words = f" ({child.last_words})" if child.last_words else ""
        self._crashed(in_words(exit_code) + words, time.monotonic() - child.began)

    def _crashed(self, how: str, ran_seconds: float) -> None:
        delay = self._restarts.crashed(ran_seconds)
        if delay is not None:
            self._starts_at = time.monotonic() + delay
            self._tell_crash(how, f"starts again in {delay:g} s")
            return
        self._tell_crash(
            how,
            "given up, for it crashed again and again without ending a trial: mend the cause "
            "and start tlsearch worker again",
        )
        self._end(Ending.GIVEN_UP)

    def _tell_crash(self, how: str, then: str) -> None:
        self._listener.trouble(self._slot, f"the worker {how}; {then}")
        self._listener.state(self._slot, f"crashed; {then.partition(',')[0]}")

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        n = self._trials_ended
        self._listener.state(self._slot, f"{ending.value}; {n} trial{'s' * (n != 1)}")


def _news(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line of news; None for any other line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found else None
