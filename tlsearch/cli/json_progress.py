"""A worker's progress for a program: one JSON object a line (`tlsearch worker --news`).

Every object has an `event`: preparing, measuring, claimed, epoch, ended, or at last done
with `how`: spent (the studies are done), limit (the worker's own), interrupted, stopped (failures
repeat), refused (bad input), database (out of reach) or crashed. The launcher reads them.
"""

import contextlib
import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlsearch.cli.display import trial_as_json
from tlsearch.errors import InputError, StorageError, WorkerStopped
from tlsearch.records import EpochReport, StudyStatus, TrialRecord

if TYPE_CHECKING:
    from tlsearch.studies.read import StudyReader

_LEAVE_SECONDS = 60.0  # for a worker without a launcher to give its trial back


class JsonProgress:
    """Writes a worker's progress to standard output, one JSON object a line.

    Once nobody reads them any more, the worker is to stop as after SIGTERM.
    """

    def __init__(self) -> None:
        self._readers: Mapping[str, StudyReader] = {}
        self._reader: StudyReader | None = None
        self._anybody_reads = True

    def follow(self, readers: Mapping[str, "StudyReader"]) -> None:
        """Tell also which study trials are of, and where it stands; readers by study name."""
        self._readers = readers

    def at_study(self, name: str) -> None:
        """Tell from now on of this study."""
        self._reader = self._readers.get(name)

    def preparing(self, what: str) -> None:
        """Tell what is being prepared."""
        self._tell("preparing", what=what)

    def measuring(self, what: str) -> None:
        """Tell how far the measures are."""
        self._tell("measuring", what=what)

    def claimed(self, number: int, attempt: int, counts: dict[str, int]) -> None:
        """Tell which trial begins."""
        self._tell("claimed", number=number, attempt=attempt, counts=counts)

    def epoch(self, number: int, report: EpochReport) -> None:
        """Tell of the epoch that ended."""
        epochs = self._reader.study.spec.recipe.epochs if self._reader else None
        self._tell(
            "epoch",
            number=number,
            epoch=report.epoch,
            epochs=epochs,
            val_accuracy=report.val_accuracy,
            seconds=round(report.seconds, 3),
        )

    def ended(self, trial: TrialRecord) -> None:
        """Tell how a trial ended, and where its study stands."""
        self._tell("ended", trial=trial_as_json(trial), standing=self._standing())

    def done(self, how: str, why: str | None = None) -> None:
        """Tell how the worker ended."""
        self._tell("done", how=how, why=why)

    def _standing(self) -> dict[str, Any] | None:
        """Return where the study stands; None while the database cannot be asked."""
        with contextlib.suppress(Exception):
            return _brief(self._reader.status()) if self._reader else None
        return None

    def _tell(self, event: str, **more: Any) -> None:
        study = self._reader.study.name if self._reader else None
        news = {"event": event, "study": study, **more}
        try:
            sys.stdout.write(json.dumps(news, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        except OSError:
            self._stop()

    def _stop(self) -> None:
        if self._anybody_reads:
            self._anybody_reads = False
            silence()
            signal.raise_signal(signal.SIGTERM)


def _brief(status: StudyStatus) -> dict[str, Any]:
    best = status.best.val_accuracy if status.best else None
    return {"ended": status.ended, "budget_trials": status.budget_trials, "best": best}


@contextlib.contextmanager
def telling(news: JsonProgress) -> Iterator[None]:
    """Tell at the end how the work in this block ended, unless it tells that itself."""
    try:
        yield
    except BaseException as error:
        news.done(_how(error))
        raise


def _how(error: BaseException) -> str:
    kinds: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
        (StorageError, "database"),
        (InputError, "refused"),
        (WorkerStopped, "stopped"),
        ((KeyboardInterrupt, SystemExit), "interrupted"),
    )
    return next((how for kind, how in kinds if isinstance(error, kind)), "crashed")


def stop_when_alone() -> None:
    """Stop this process, as SIGTERM does, when the launcher that holds its standard input is gone.

    The pipe ends with the launcher however that died, so this also works after kill -9. Where
    standard input is no pipe there is no launcher.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_leave_with_launcher, daemon=True).start()


def _leave_with_launcher() -> None:
    """Ask this process to stop, and end it where that takes too long: nobody else will."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    silence()
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGTERM)
    time.sleep(_LEAVE_SECONDS)
    os._exit(128 + signal.SIGTERM)


def silence() -> None:
    """Let what is still written go nowhere, for with its reader gone a write would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
