"""Shows signs of life while a trial runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tlsearch.errors import TrialLost
from tlsearch.worker.claim import Claim, ClaimDesk


class Heartbeat:
    """Says whether the trial is still ours.

    Attributes:
        lost: set once the database says that the trial is another worker's.
    """

    def __init__(self) -> None:
        self.lost = threading.Event()
        self._over = threading.Event()

    def _run(self, desk: ClaimDesk, claim: Claim, interval_seconds: float) -> None:
        while not self._over.wait(interval_seconds):
            try:
                desk.hold(claim)
            except TrialLost:
                self.lost.set()
                return
            except Exception:  # a database out of reach for a moment; the next beat may reach it
                continue


@contextmanager
def heartbeat(desk: ClaimDesk, claim: Claim, interval_seconds: float) -> Iterator[Heartbeat]:
    """Beat in a thread of its own until the block ends."""
    beat = Heartbeat()
    thread = threading.Thread(target=beat._run, args=(desk, claim, interval_seconds), daemon=True)
    thread.start()
    try:
        yield beat
    finally:
        beat._over.set()
        thread.join(timeout=interval_seconds)
