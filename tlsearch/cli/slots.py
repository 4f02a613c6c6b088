"""What the launcher shows: a line a slot on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.live import Live
from rich.text import Text

from tlsearch.cli.display import console, duration, percent
from tlsearch.launcher import Slot
from tlsearch.records import reason_line

_SECONDS_BETWEEN_LINES = 5


class SlotsDisplay:
    """Shows what the workers of a launcher do.

    Args:
        slots: the slots, in the order of their lines.
        quiet: show nothing but what workers write on standard error, and troubles.
    """

    def __init__(self, slots: Sequence[Slot], quiet: bool = False) -> None:
        self._width = max(len(slot.name) for slot in slots)
        self._lines = {slot: "" for slot in slots}
        self._shown_at = dict.fromkeys(slots, float("-inf"))
        self._quiet = quiet
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._live = Live(
                console=console,
                refresh_per_second=4,
                transient=True,
                redirect_stderr=sys.stderr.isatty(),
            )

    def __enter__(self) -> "SlotsDisplay":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def news(self, slot: Slot, news: Mapping[str, Any]) -> None:
        """Show a worker's news."""
        line = line_of(news)
        if line is None:
            return
        if news["event"] == "ended":
            self._lasting(slot, line)
        else:
            self._passing(slot, line)

    def said(self, slot: Slot, line: str) -> None:
        """Show a line that a worker wrote on standard error."""
        sys.stderr.write(f"{slot.name:<{self._width}}  {line}\n")
        sys.stderr.flush()

    def state(self, slot: Slot, what: str) -> None:
        """Show that a worker starts or is over."""
        self._passing(slot, what, at_least_every=0)

    def trouble(self, slot: Slot | None, sentence: str) -> None:
        """Show what the user should read."""
        self.said(slot or Slot("", ""), sentence)

    def _passing(
        self, slot: Slot, line: str, at_least_every: float = _SECONDS_BETWEEN_LINES
    ) -> None:
        """Show a line that the slot's next one replaces; elsewhere than on a terminal, print it."""
        if line == self._lines[slot]:
            return
        if self._live:
            self._lines[slot] = line
            self._live.update(self._all_lines())
        elif time.monotonic() - self._shown_at[slot] >= at_least_every:
            self._lines[slot] = line
            self._print(slot, line)

    def _lasting(self, slot: Slot, line: str) -> None:
        if self._live:
            self._live.console.print(self._named(slot, line))
        else:
            self._print(slot, line)

    def _print(self, slot: Slot, line: str) -> None:
        if self._quiet:
            return
        self._shown_at[slot] = time.monotonic()
        console.print(self._named(slot, line))
        console.file.flush()

    def _named(self, slot: Slot, line: str) -> Text:
        return Text(f"{slot.name:<{self._width}}  {line}")

    def _all_lines(self) -> Text:
        lines = [self._named(slot, line) for slot, line in self._lines.items()]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def line_of(news: Mapping[str, Any]) -> str | None:
    """Return a worker's news as a line; None for what is told otherwise or not known."""
    study = f"{news['study']}  " if news.get("study") else ""
    make = _LINES.get(news["event"])
    return None if make is None else study + make(news)


def _claimed(news: Mapping[str, Any]) -> str:
    again = f" (attempt {news['attempt']})" if news["attempt"] > 1 else ""
    return f"trial {news['number']}{again} begins"


def _epoch(news: Mapping[str, Any]) -> str:
    of = f"/{news['epochs']}" if news["epochs"] else ""
    val = percent(news["val_accuracy"])
    return f"trial {news['number']}  epoch {news['epoch']}{of}  val {val}"


def _ended(news: Mapping[str, Any]) -> str:
    trial, standing = news["trial"], news["standing"]
    why = reason_line(trial["reason_kind"], trial["reason"])
    how = trial["state"] if trial["state"] != "fail" else f"failed ({why})"
    if trial["duplicate_of"] is not None:
        how = f"same as trial {trial['duplicate_of']}"
    line = (
        f"trial {trial['number']} {how:<8} {trial['epochs']} epochs  val"
        f" {percent(trial['val_accuracy'])}  in {duration(trial['seconds'])}"
    )
    if standing is None:
        return line
    best = f", best {percent(standing['best'])}" if standing["best"] is not None else ""
    return f"{line}  | {standing['ended']}/{standing['budget_trials']} trials done{best}"


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "preparing": lambda news: f"{news['what']} ...",
    "measuring": lambda news: str(news["what"]),
    "claimed": _claimed,
    "epoch": _epoch,
    "ended": _ended,
}
