"""A worker's progress for a program: one JSON object a line (`tlsearch worker --json-progress`).

Every object has an `event`: preparing, measuring, note, claimed, epoch, ended, and at last done
with `how`: spent (the studies are done), limit (the worker's own), interrupted, stopped (failures
repeat), refused (bad input), database (out of reach) or crashed. The launcher reads them.
"""

import contextlib
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlsearch.cli.display import as_json, trial_as_json
from tlsearch.cli.trial_lines import standing_best
from tlsearch.errors import InputError, StorageError, WorkerStopped
from tlsearch.records import EpochReport, StudyStatus, TrialRecord
from tlsearch.records.objective import ACCURACY

if TYPE_CHECKING:
    from tlsearch.studies.read import StudyReader

_STOP_SECONDS = 60.0  # for a worker without a launcher to release its trial


class JsonProgress:
    """Writes a worker's progress to standard output, one JSON object a line.

    When stdout was closed, the worker stops as after SIGTERM.
    """

    def __init__(self) -> None:
        self._readers: Mapping[str, StudyReader] = {}
        self._reader: StudyReader | None = None
        self._stopping = threading.Lock()

    def follow(self, readers: Mapping[str, "StudyReader"]) -> None:
        """Report each trial's study and its state as well; `readers` are by study name."""
        self._readers = readers

    def at_study(self, name: str) -> None:
        """Report this study from now on."""
        self._reader = self._readers.get(name)

    def preparing(self, what: str) -> None:
        """Report what is being prepared."""
        self._write("preparing", what=what)

    def measuring(self, what: str) -> None:
        """Report how far the measures are."""
        self._write("measuring", what=what)

    def note(self, what: str) -> None:
        """Report what is to be kept in view."""
        self._write("note", what=what)

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """Report which trial begins."""
        self._write("claimed", number=number, attempt=attempt, counts=counts)

    def epoch(self, number: int, report: EpochReport) -> None:
        """Report the epoch that ended."""
        spec = self._reader.study.spec if self._reader else None
        objective = spec.objective if spec else ACCURACY
        self._write(
            "epoch",
            number=number,
            epoch=report.epoch,
            epochs=spec.recipe.epochs if spec else None,
            val_accuracy=report.val_accuracy,
            objective=objective,
            val_objective=report.figure(objective),
            seconds=round(report.seconds, 3),
        )

    def ended(self, trial: TrialRecord) -> None:
        """Report how a trial ended, and where its study stands."""
        self._write("ended", trial=trial_as_json(trial), standing=self._standing())

    def done(self, how: str, why: str | None = None) -> None:
        """Report how the worker ended."""
        self._write("done", how=how, why=why)

    def _standing(self) -> dict[str, Any] | None:
        """Return where the study stands; None while the database is out of reach."""
        with contextlib.suppress(Exception):
            return _brief(self._reader.status()) if self._reader else None
        return None

    def _write(self, event: str, **fields: Any) -> None:
        study = self._reader.study.name if self._reader else None
        line = as_json({"event": event, "study": study, **fields})
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError:
            self.stop_worker()

    def stop_worker(self) -> None:
        """Stop this process as a first SIGTERM does, once: a second one would lose its trial.

        When a launcher is killed, standard input ends and standard output is closed.
        """
        if self._stopping.acquire(blocking=False):
            discard_output()
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGTERM)


def _brief(status: StudyStatus) -> dict[str, Any]:
    best, objective = standing_best(status)
    return {
        "ended": status.ended,
        "budget_trials": status.budget_trials,
        "best": best,
        "objective": objective,
    }


@contextlib.contextmanager
def report_end(progress: JsonProgress) -> Iterator[None]:
    """Report how the block failed, if it raises; where it ends well it reports that itself."""
    try:
        yield
    except BaseException as error:
        progress.done(_how(error))
        raise


def _how(error: BaseException) -> str:
    kinds: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
        (StorageError, "database"),
        (InputError, "refused"),
        (WorkerStopped, "stopped"),
        ((KeyboardInterrupt, SystemExit), "interrupted"),
    )
    return next((how for kind, how in kinds if isinstance(error, kind)), "crashed")


def stop_with_launcher(progress: JsonProgress) -> None:
    """Stop this process, as SIGTERM does, when the launcher that holds its standard input is gone.

    The pipe ends with the launcher even if that was killed. If standard input is not a pipe, there
    is no launcher.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_stop_when_stdin_ends, args=(progress,), daemon=True).start()


def _stop_when_stdin_ends(progress: JsonProgress) -> None:
    """Ask this process to stop, and end it if that takes too long: no launcher will do it."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    progress.stop_worker()
    time.sleep(_STOP_SECONDS)
    os._exit(128 + signal.SIGTERM)


def discard_output() -> None:
    """Send what is still written to /dev/null: a write to a closed pipe would fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(null, number)
    os.close(null)
