"""Notes of studies in optuna-dashboard: written when a study is created, then kept up to date."""

import logging
import threading

from optuna.storages import RDBStorage

from tlsearch.dashboard.note_storage import (
    first_of,
    note_states,
    save_note,
    top_trials,
)
from tlsearch.records import FIXED_FEATURES, answer_of
from tlsearch.report.rising import read_rising
from tlsearch.report.study_note import TOP, StudyFacts, study_note
from tlsearch.store.causes import cause_of
from tlsearch.store.controls import read_controls
from tlsearch.store.measures import read_measures, read_prior, read_unmeasured
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import read_study
from tlsearch.store.trials import trial_counts

_log = logging.getLogger(__name__)


def write_note(storage: RDBStorage, study: StoredStudy) -> bool:
    """Write a study's note from its state now, unless a user has changed it.

    Returns:
        Whether the note is tlsearch's own.
    """
    note = study_note(_facts(storage, study))
    return save_note(storage, study.study_id, note, study.spec.objective)


class NoteUpdater:
    """Keeps the notes of all studies of a database up to date; reads only what has changed.

    What keeps a note from being written, whatever it is, is logged as a warning, once.

    Args:
        storage: the database.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage
        self._written: dict[str, str] = {}
        self._warnings: set[str] = set()

    def update(self) -> None:
        """Write the notes whose studies have changed since the last call."""
        try:
            states = note_states(self._storage)
        except Exception as error:
            self._warn(None, error)
            return
        for name, state in states.items():
            if self._written.get(name) != state and self._write(name):
                self._written[name] = state

    def update_until(self, ended: threading.Event, every_seconds: float) -> None:
        """Update at once, and then again and again until the event is set."""
        self.update()
        while not ended.wait(every_seconds):
            self.update()

    def _write(self, name: str) -> bool:
        try:
            study = read_study(self._storage, name)
            if study is not None:
                write_note(self._storage, study)
        except Exception as error:
            self._warn(name, error)
            return False
        return True

    def _warn(self, name: str | None, error: Exception) -> None:
        of = "" if name is None else f" of study {name!r}"
        sentence = f"the note{of} is not kept up to date: {cause_of(error)}"
        if sentence not in self._warnings:
            self._warnings.add(sentence)
            _log.warning("%s", sentence, extra={} if name is None else {"study": name})


def _facts(storage: RDBStorage, study: StoredStudy) -> StudyFacts:
    best = top_trials(storage, study.study_id, TOP)
    floor = first_of(storage, study.study_id, FIXED_FEATURES)
    return StudyFacts(
        study=study,
        ranges=study.space.ranges,
        controls=read_controls(storage.engine, study.study_id),
        counts=trial_counts(storage, study.study_id),
        default=first_of(storage, study.study_id, "default"),
        best=best,
        fixed_features=floor,
        answer=answer_of([*best, *([floor] if floor else [])], study.data.n_val),
        measures=read_measures(storage, study.study_id),
        unmeasured=read_unmeasured(storage, study.study_id),
        prior=read_prior(storage, study.study_id),
        rising=read_rising(storage.engine, study),
    )
