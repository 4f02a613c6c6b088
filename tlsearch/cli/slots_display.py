"""What the launcher shows: a line a slot on a terminal, a line now and then elsewhere."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.live import Live
from rich.text import Text

from tlsearch.cli.display import console
from tlsearch.cli.logs import json_is_on
from tlsearch.cli.ticker import QUIET_SECONDS, Ticker, beginning
from tlsearch.cli.trial_lines import claimed_line, ended_line, epoch_line, study_clause, val_text
from tlsearch.launcher import Slot
from tlsearch.records.format import duration

_SECONDS_BETWEEN_LINES = 4.0
_SECONDS_UNSAID = 2.0  # how long a line stands before it says since when
_log = logging.getLogger("tlsearch.launcher")


class SlotsDisplay:
    """Shows what the workers of a launcher do.

    Args:
        slots: the slots, in the order of their lines.
        quiet: show only problems and what workers write on standard error.
    """

    def __init__(self, slots: Sequence[Slot], quiet: bool = False) -> None:
        self._width = max(len(slot.name) for slot in slots)
        self._lines = {slot: "" for slot in slots}
        self._printed_at = dict.fromkeys(slots, float("-inf"))
        self._latest = dict.fromkeys(slots, ("", time.monotonic()))  # the last line, and when
        self._ticker = Ticker(self._tick)
        self._quiet = quiet
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._live = Live(
                console=console,
                refresh_per_second=4,
                transient=True,
                get_renderable=self._all_lines,
                redirect_stderr=sys.stderr.isatty(),
            )

    def __enter__(self) -> "SlotsDisplay":
        beginning.end()
        if self._live:
            self._live.start()
        elif not self._quiet:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        self._ticker.stop()

    def progress(self, slot: Slot, event: Mapping[str, Any]) -> None:
        """Show a worker's progress."""
        line = progress_line(event)
        if line is None:
            return
        if event["event"] in ("ended", "note"):
            self._show_for_good(slot, line)
        else:
            self._show_for_now(slot, line)

    def output(self, slot: Slot, line: str) -> None:
        """Show a line that a worker wrote on standard error."""
        if json_is_on():
            self._output_json(slot, line)
            return
        _write_stderr(f"{slot.name:<{self._width}}  {line}\n")

    def _output_json(self, slot: Slot, line: str) -> None:
        """Pass on a log record with the slot added; log any other line."""
        record = _json_object(line)
        if record is None:
            _log.warning("%s", line, extra={"slot": slot.name})
            return
        _write_stderr(json.dumps(record | {"slot": slot.name}) + "\n")

    def state(self, slot: Slot, text: str) -> None:
        """Show that a worker starts, crashed or ended."""
        self._show_for_now(slot, text, at_least_every=0)

    def problem(self, slot: Slot | None, sentence: str) -> None:
        """Show what the user should read."""
        if json_is_on():
            _log.warning("%s", sentence, extra={"slot": slot.name} if slot else None)
        else:
            self.output(slot or Slot("", ""), sentence)

    def _show_for_now(
        self, slot: Slot, line: str, at_least_every: float = _SECONDS_BETWEEN_LINES
    ) -> None:
        """Show a line that the slot's next one replaces; elsewhere than on a terminal, print it.

        Args:
            slot: the slot.
            line: the line.
            at_least_every: seconds since the slot's last printed line; before that it is left out.
        """
        if line != self._latest[slot][0]:
            self._latest[slot] = (line, time.monotonic())
        if line == self._lines[slot]:
            return
        if self._live:
            self._lines[slot] = line
            self._live.refresh()
        elif time.monotonic() - self._printed_at[slot] >= at_least_every:
            self._lines[slot] = line
            self._print(slot, line)

    def _show_for_good(self, slot: Slot, line: str) -> None:
        self._latest[slot] = ("", time.monotonic())
        if self._live:
            self._live.console.print(self._with_slot(slot, line))
        else:
            self._print(slot, line)

    def _print(self, slot: Slot, line: str) -> None:
        if self._quiet:
            return
        self._printed_at[slot] = time.monotonic()
        with _harmless():
            console.print(self._with_slot(slot, line))
            console.file.flush()

    def _with_slot(self, slot: Slot, line: str) -> Text:
        return Text(f"{slot.name:<{self._width}}  {line}")

    def _tick(self) -> None:
        """Show what the slot with the newest line does, where nothing was printed for a while."""
        if time.monotonic() - max(self._printed_at.values()) < QUIET_SECONDS:
            return
        at_work = [slot for slot, (line, _) in self._latest.items() if line]
        if at_work:
            slot = max(at_work, key=lambda slot: self._latest[slot][1])
            self._print(slot, self._latest[slot][0] + self._so_far(slot))

    def _so_far(self, slot: Slot) -> str:
        seconds = time.monotonic() - self._latest[slot][1]
        return f" ({duration(seconds)} so far)" if seconds >= _SECONDS_UNSAID else ""

    def _all_lines(self) -> Text:
        lines = [
            self._with_slot(slot, line + self._so_far(slot) * bool(line))
            for slot, line in self._lines.items()
        ]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def progress_line(event: Mapping[str, Any]) -> str | None:
    """Return an object of a worker's JSON progress as a line; None if it is not shown."""
    study = f"{event['study']}  " if event.get("study") else ""
    make = _LINES.get(event["event"])
    return None if make is None else study + make(event)


def _write_stderr(text: str) -> None:
    with _harmless():
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def _harmless() -> Iterator[None]:
    """Let workers go on where a full disk takes no more lines; closed output ends them."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def _ended(event: Mapping[str, Any]) -> str:
    trial, standing = event["trial"], event["standing"]
    line = ended_line(
        trial["number"],
        trial["state"],
        reason_kind=trial["reason_kind"],
        reason=trial["reason"],
        duplicate_of=trial["duplicate_of"],
        epochs=trial["epochs"],
        val=_val(trial, trial["train_on"]),
        seconds=trial["seconds"],
    )
    if standing is None:
        return line
    best, objective = standing["best"], standing["objective"]
    clause = study_clause(standing["ended"], standing["budget_trials"], best, objective)
    return f"{line}  {clause}"


def _val(event: Mapping[str, Any], train_on: str = "train") -> str:
    return val_text(event["objective"], event["val_objective"], event["val_accuracy"], train_on)


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "preparing": lambda event: f"{event['what']} ...",
    "measuring": lambda event: str(event["what"]),
    "note": lambda event: str(event["what"]),
    "claimed": lambda event: claimed_line(event["number"], event["attempt"]),
    "epoch": lambda event: epoch_line(
        event["number"], event["epoch"], event["epochs"], _val(event)
    ),
    "ended": _ended,
}


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
