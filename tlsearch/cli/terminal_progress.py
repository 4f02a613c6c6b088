"""A worker's progress for people: one live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from tlsearch.cli.display import console
from tlsearch.cli.ticker import QUIET_SECONDS, Ticker, beginning
from tlsearch.cli.trial_lines import (
    claimed_line,
    ended_line,
    epoch_line,
    standing_best,
    study_clause,
)
from tlsearch.records import EpochReport, StudyStatus, TrialRecord
from tlsearch.records.format import duration
from tlsearch.records.objective import ACCURACY, val_words

if TYPE_CHECKING:
    from tlsearch.studies.read import StudyReader

_SECONDS_BETWEEN_LINES = 4.0  # where every line is kept
_SECONDS_UNSAID = 2.0  # how long a line stands before it says since when


class TerminalProgress:
    """Shows a worker's progress; what takes long says for how long it has, again and again."""

    def __init__(self) -> None:
        self._readers: Mapping[str, StudyReader] = {}
        self._reader: StudyReader | None = None
        self._status: StudyStatus | None = None
        self._printed_at = 0.0
        self._last_line = ""
        self._line = ""  # what is under way
        self._since = time.monotonic()
        self._ticker = Ticker(self._tick)
        self._live = Live(
            console=console, refresh_per_second=4, transient=True, get_renderable=self._renderable
        )

    def __enter__(self) -> "TerminalProgress":
        self._line, self._since = "starting ...", beginning.began
        self._printed_at = beginning.end()
        if console.is_terminal:
            self._live.start()
        else:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console.is_terminal:
            self._live.stop()
        self._ticker.stop()

    def follow(self, readers: Mapping[str, "StudyReader"]) -> None:
        """Show the state of studies as well; `readers` are by study name.

        With several studies, each line begins with its study's name.
        """
        self._readers = readers
        if len(readers) == 1:
            (self._reader,) = readers.values()

    def at_study(self, name: str) -> None:
        """Show this study from now on."""
        reader = self._readers.get(name)
        if reader is not self._reader:
            self._reader, self._status = reader, None

    def preparing(self, what: str) -> None:
        """Show what is being prepared."""
        self._show_for_now(f"{what} ...")

    def measuring(self, what: str) -> None:
        """Show how far the measures are."""
        self._show_for_now(what, _SECONDS_BETWEEN_LINES)

    def note(self, what: str) -> None:
        """Show what is to be kept in view."""
        line = self._line
        self._show_for_good(what)
        self._line = line

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """Show the trial that begins."""
        del counts
        self._read_status()
        self._show_for_now(f"{claimed_line(number, attempt)}  {self._study_clause(0)}")

    def epoch(self, number: int, report: EpochReport) -> None:
        """Show the epoch that ended."""
        spec = self._reader.study.spec if self._reader else None
        epochs, objective = (spec.recipe.epochs, spec.objective) if spec else (None, ACCURACY)
        val = val_words(objective, report.score(objective), report.val_accuracy)
        line = epoch_line(number, report.epoch, epochs, val)
        clause = self._study_clause(report.epoch / (epochs or report.epoch), report)
        self._show_for_now(f"{line}  {clause}", _SECONDS_BETWEEN_LINES)

    def ended(self, trial: TrialRecord) -> None:
        """Show how a trial ended."""
        self._read_status()
        line = ended_line(
            trial.number,
            trial.state,
            reason_kind=trial.reason_kind,
            reason=trial.reason,
            duplicate_of=trial.duplicate_of,
            epochs=trial.epochs,
            val=val_words(trial.objective, trial.score, trial.val_accuracy, trial.train_on),
            seconds=trial.seconds,
        )
        self._show_for_good(f"{line}  {self._study_clause(0)}")

    def _read_status(self) -> None:
        """Read the study's state; while the database is away the last one is kept."""
        from tlsearch.store.outages import DATABASE_ERRORS  # loads much

        if self._reader is not None:
            with suppress(*DATABASE_ERRORS):
                self._status = self._reader.status()

    def _study_clause(self, current: float, report: EpochReport | None = None) -> str:
        """Return where the study stands; `current` is the fraction done of the running trial."""
        status = self._status
        if status is None:
            return ""
        best, objective = standing_best(status)
        left = self._seconds_left(status, current, report)
        about = f", {duration(left)} left" if left is not None else ""
        return study_clause(status.ended, status.budget_trials, best, objective) + about

    def _seconds_left(
        self, status: StudyStatus, current: float, report: EpochReport | None
    ) -> float | None:
        """Estimate from the mean ended trial, or from the epochs of the first one."""
        n_left = status.budget_trials - status.ended - current
        if status.ended:
            seconds_each = status.train_seconds / status.ended
        elif report is not None:
            seconds_each = report.seconds / current
        else:
            return None
        return max(0.0, n_left * seconds_each / max(1, len(status.running)))

    def _show_for_now(self, line: str, at_least_every: float = 0.0) -> None:
        """Show a line that the next one replaces; elsewhere than on a terminal, print it.

        Args:
            line: the line.
            at_least_every: seconds since the last printed line; before that it is left out.
        """
        line = self._with_study(line)
        self._line, self._since = line, time.monotonic()
        if console.is_terminal:
            self._live.refresh()
        elif line != self._last_line and time.monotonic() - self._printed_at >= at_least_every:
            self._print(line)

    def _show_for_good(self, line: str) -> None:
        line = self._with_study(line)
        self._line = ""
        if console.is_terminal:
            self._live.console.print(line)
        else:
            self._print(line)

    def _renderable(self) -> Text:
        return Text(self._line + self._so_far())

    def _so_far(self) -> str:
        seconds = time.monotonic() - self._since
        return f" ({duration(seconds)} so far)" if seconds >= _SECONDS_UNSAID else ""

    def _tick(self) -> None:
        """Show what is under way where nothing was printed for a while."""
        if self._line and time.monotonic() - self._printed_at >= QUIET_SECONDS:
            self._printed_at = time.monotonic()
            console.print(self._line + self._so_far())
            console.file.flush()

    def _with_study(self, line: str) -> str:
        if self._reader is None or len(self._readers) == 1:
            return line
        return f"{self._reader.study.name}  {line}"

    def _print(self, line: str) -> None:
        self._last_line, self._printed_at = line, time.monotonic()
        console.print(line)
        console.file.flush()
