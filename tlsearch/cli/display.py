"""What the command line shows: tables, JSON, and a worker's progress."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tlsearch.records import (
    HYPERPARAMETER_NAMES,
    EpochReport,
    StudyStatus,
    TrialRecord,
    reason_line,
)
from tlsearch.store.outages import DATABASE_ERRORS

if TYPE_CHECKING:
    from tlsearch.studies.read import StudyReader

console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def trial_as_json(trial: TrialRecord) -> dict[str, Any]:
    """Return a trial as plain values."""
    return {
        "number": trial.number,
        "val_accuracy": trial.val_accuracy,
        "params": trial.params.as_dict() if trial.params else None,
        "epochs": trial.epochs,
        "seconds": trial.seconds,
        "state": trial.state,
        "origin": trial.origin,
        "attempt": trial.attempt,
        "worker": trial.worker,
        "reason_kind": trial.reason_kind,
        "reason": trial.reason,
        "duplicate_of": trial.duplicate_of,
    }


def status_as_json(status: StudyStatus) -> dict[str, Any]:
    """Return a study's status as plain values."""
    return {
        "name": status.name,
        "budget_trials": status.budget_trials,
        "ended": status.ended,
        "counts": dict(status.counts),
        "default_val_accuracy": status.default_val_accuracy,
        "state": status.controls.state,
        "gpu_hours_used": round(status.controls.gpu_hours_used, 6),
        "best": trial_as_json(status.best) if status.best else None,
        "train_seconds": round(status.train_seconds, 3),
        "running": [trial_as_json(trial) for trial in status.running],
    }


def percent(fraction: float | None) -> str:
    """Show a fraction as per cent."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def duration(seconds: float | None) -> str:
    """Show seconds as h:mm:ss or m:ss."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def trials_lines(trials: Sequence[TrialRecord]) -> list[str]:
    """Return a heading and a line a trial with its seven hyperparameters, in columns."""
    heading = ["trial", "val_accuracy", *HYPERPARAMETER_NAMES, "epochs", "time", "origin"]
    return columns([heading, *(_cells(trial) for trial in trials)])


def _cells(trial: TrialRecord) -> list[str]:
    values = trial.params.as_dict().values() if trial.params else ["-"] * len(HYPERPARAMETER_NAMES)
    shown = [value if isinstance(value, str) else f"{value:.3g}" for value in values]
    ending = [str(trial.epochs), duration(trial.seconds), trial.origin or "-"]
    return [str(trial.number), percent(trial.val_accuracy), *shown, *ending]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells to the right, as lines that are never wrapped or cut."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]


class TerminalProgress:
    """Shows a worker's progress: one live line on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._readers: Mapping[str, StudyReader] = {}
        self._reader: StudyReader | None = None
        self._status: StudyStatus | None = None
        self._last_shown = 0.0
        self._last_line = ""
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "TerminalProgress":
        if console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console.is_terminal:
            self._live.stop()

    def follow(self, readers: Mapping[str, "StudyReader"]) -> None:
        """Show also where studies stand; readers by study name. Several are told apart by it."""
        self._readers = readers
        if len(readers) == 1:
            (self._reader,) = readers.values()

    def at_study(self, name: str) -> None:
        """Show from now on what is of this study."""
        reader = self._readers.get(name)
        if reader is not self._reader:
            self._reader, self._status = reader, None

    def preparing(self, what: str) -> None:
        """Show what is being prepared."""
        self._passing(f"{what} ...", at_least_every=0)

    def measuring(self, what: str) -> None:
        """Show how far the measures are."""
        self._passing(what, at_least_every=5)

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """Show the trial that begins."""
        del counts
        self._look()
        again = f" (attempt {attempt})" if attempt > 1 else ""
        self._passing(f"trial {number}{again} begins  {self._standing(0)}", at_least_every=0)

    def epoch(self, number: int, report: EpochReport) -> None:
        """Show the epoch that ended."""
        epochs = self._reader.study.spec.recipe.epochs if self._reader else None
        of = f"/{epochs}" if epochs else ""
        standing = self._standing(report.epoch / (epochs or report.epoch), report)
        self._passing(
            f"trial {number}  epoch {report.epoch}{of}"
            f"  val {percent(report.val_accuracy)}  {standing}",
            at_least_every=5,
        )

    def ended(self, trial: TrialRecord) -> None:
        """Show how a trial ended."""
        self._look()
        why = reason_line(trial.reason_kind, trial.reason)
        how = trial.state if trial.state != "fail" else f"failed ({why})"
        if trial.duplicate_of is not None:
            how = f"same as trial {trial.duplicate_of}"
        self._lasting(
            f"trial {trial.number} {how:<8} {trial.epochs} epochs  val"
            f" {percent(trial.val_accuracy)}  in {duration(trial.seconds)}  {self._standing(0)}"
        )

    def _look(self) -> None:
        """Read where the study stands; what was read before will do while the database is away."""
        if self._reader is not None:
            with suppress(*DATABASE_ERRORS):
                self._status = self._reader.status()

    def _standing(self, current: float, report: EpochReport | None = None) -> str:
        status = self._status
        if status is None:
            return ""
        best = f", best {percent(status.best.val_accuracy)}" if status.best else ""
        left = self._seconds_left(status, current, report)
        about = f", {duration(left)} left" if left is not None else ""
        return f"| {status.ended}/{status.budget_trials} trials done{best}{about}"

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

    def _passing(self, line: str, at_least_every: float) -> None:
        """Show a line that the next one replaces; elsewhere than on a terminal, now and then."""
        line = self._named(line)
        if console.is_terminal:
            self._live.update(Text(line))
        elif line != self._last_line and time.monotonic() - self._last_shown >= at_least_every:
            self._print(line)

    def _lasting(self, line: str) -> None:
        line = self._named(line)
        if console.is_terminal:
            self._live.console.print(line)
        else:
            self._print(line)

    def _named(self, line: str) -> str:
        if self._reader is None or len(self._readers) == 1:
            return line
        return f"{self._reader.study.name}  {line}"

    def _print(self, line: str) -> None:
        self._last_line, self._last_shown = line, time.monotonic()
        console.print(line)
        console.file.flush()
