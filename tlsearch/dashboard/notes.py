"""Notes of studies in optuna-dashboard: written when a study is created, then kept up to date."""

import threading
from collections.abc import Callable

import sqlalchemy as sa
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage

from tlsearch.errors import TlsearchError
from tlsearch.report.study_note import TOP, StudyFacts, study_note
from tlsearch.store.causes import cause_of
from tlsearch.store.controls import read_controls
from tlsearch.store.measures import read_measures, read_prior, read_unmeasured
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import read_study
from tlsearch.store.study_notes import default_accuracy, keep_note, note_states, top_trials
from tlsearch.store.trials import trial_counts

# What a database that is away, or a study that was deleted meanwhile, raises.
_PASSING = (sa.exc.SQLAlchemyError, OptunaError, TlsearchError, KeyError)


def write_note(storage: RDBStorage, study: StoredStudy) -> bool:
    """Write a study's note as things stand, unless a user has changed it.

    Returns:
        Whether the note is tlsearch's own.
    """
    return keep_note(storage, study.study_id, study_note(_facts(storage, study)))


class NoteUpdater:
    """Keeps the notes of all studies of a database up to date; reads only what has changed.

    Args:
        storage: the database.
        complain: told, once, what keeps a note from being written.
    """

    def __init__(self, storage: RDBStorage, complain: Callable[[str], object]) -> None:
        self._storage = storage
        self._complain = complain
        self._written: dict[str, str] = {}
        self._said: set[str] = set()

    def refresh(self) -> None:
        """Write the notes whose studies have changed since the last call."""
        try:
            states = note_states(self._storage)
        except _PASSING as error:
            self._say("", error)
            return
        for name, state in states.items():
            if self._written.get(name) != state and self._write(name):
                self._written[name] = state

    def refresh_until(self, ended: threading.Event, every_seconds: float) -> None:
        """Refresh at once and then time and again."""
        self.refresh()
        while not ended.wait(every_seconds):
            self.refresh()

    def _write(self, name: str) -> bool:
        try:
            study = read_study(self._storage, name)
            if study is not None:
                write_note(self._storage, study)
        except _PASSING as error:
            self._say(f" of study {name!r}", error)
            return False
        return True

    def _say(self, whose: str, error: Exception) -> None:
        sentence = f"the note{whose} is not kept up to date: {cause_of(error)}"
        if sentence not in self._said:
            self._said.add(sentence)
            self._complain(sentence)


def _facts(storage: RDBStorage, study: StoredStudy) -> StudyFacts:
    return StudyFacts(
        study=study,
        ranges=study.space.ranges,
        controls=read_controls(storage.engine, study.study_id),
        counts=trial_counts(storage, study.study_id),
        default=default_accuracy(storage, study.study_id),
        best=top_trials(storage, study.study_id, TOP),
        measures=read_measures(storage, study.study_id),
        unmeasured=read_unmeasured(storage, study.study_id),
        prior=read_prior(storage, study.study_id),
    )
