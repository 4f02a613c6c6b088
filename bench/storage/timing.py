"""How long each call of a trial takes, and how many statements it sends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa


@dataclass
class Times:
    """What one worker measured.

    Attributes:
        seconds: of every call, by its name: ask, report, tell.
        statements: that did something.
        checkouts: connections taken from the pool; where it pings, each is a round trip more.
        trials: that ended.
    """

    seconds: dict[str, list[float]] = field(
        default_factory=lambda: {"ask": [], "report": [], "tell": []}
    )
    statements: int = 0
    checkouts: int = 0
    trials: int = 0

    @contextmanager
    def of(self, call: str) -> Iterator[None]:
        """Measure one call."""
        start = time.perf_counter()
        yield
        self.seconds[call].append(time.perf_counter() - start)

    def count(self, engine: sa.Engine) -> None:
        """Count the statements of an engine from now on."""
        sa.event.listen(engine, "before_cursor_execute", self._statement)
        sa.event.listen(engine, "checkout", self._checkout)

    def _statement(self, *_: object) -> None:
        self.statements += 1

    def _checkout(self, *_: object) -> None:
        self.checkouts += 1
