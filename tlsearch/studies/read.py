"""Reads where a study stands and what it found."""

import shlex
from dataclasses import replace

from optuna.storages import RDBStorage

from tlsearch.artifacts import artifacts_place, default_folder
from tlsearch.errors import StudyError
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.records import Answer, Measures, Prior, StudyStatus, TrialRecord, answer_of
from tlsearch.records.finals import Finals
from tlsearch.records.knobs import RangeEnd
from tlsearch.report.range_ends import range_ends
from tlsearch.report.rising import Rising, read_rising
from tlsearch.store.connect import open_storage
from tlsearch.store.measures import read_measures, read_prior, read_unmeasured
from tlsearch.store.models import model_files
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study
from tlsearch.store.trials import By, best_first, study_status, trial_records
from tlsearch.studies.finals import read_finals


class StudyReader:
    """Reads one study.

    Attributes:
        study: its spec and what it was created with.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """

    def __init__(self, study_name: str, storage: str | None = None) -> None:
        self._given = storage
        self._storage = open_storage(storage)
        self.study = find_study(self._storage, study_name)
        self._history = StudyHistory(self._storage.engine, self.study.study_id)

    def status(self) -> StudyStatus:
        """Return where the study stands."""
        return study_status(self._storage, self.study, self._history)

    def best(self, top: int | None = None, *, by: By = "seen") -> list[TrialRecord]:
        """Return the complete trials, the most accurate first; see `best_trials`."""
        records = trial_records(self._storage, self.study.study_id, self._history)
        return best_first(records, by)[:top]

    def answer(self) -> Answer | None:
        """Return the recommended answer with its model files; None before a trial is complete."""
        found = answer_of(self.best(), self.study.data.n_val)
        if found is None:
            return None
        return replace(found, models=tuple(map(self.files().get, found.trials)))

    def files(self) -> dict[int, str]:
        """Return the names of the model files that are kept, by trial number."""
        return model_files(self._storage.engine, self.study.study_id)

    def finals(self) -> Finals | None:
        """Return what the study's finalists reached; None where there are none."""
        return read_finals(self.study.name, self._given)

    def rising(self) -> Rising | None:
        """Return how the best trials' curves rise at their end; None where it cannot be told."""
        return read_rising(self._storage.engine, self.study)

    def range_ends(self) -> tuple[RangeEnd, ...]:
        """Return where the best trials lie at the end of a range of the search space."""
        return range_ends(self.best(), self.study.space)

    def models_place(self) -> str:
        """Return where model files lie: a folder or a bucket."""
        place = artifacts_place(None, self.study.spec.checkpoints.folder)
        return place or str(default_folder())

    def measured(self) -> bool:
        """Whether the domain measures have been taken."""
        return read_measures(self._storage, self.study.study_id) is not None

    def unmeasured(self) -> str | None:
        """Return why the measures could not be taken; None where that did not happen."""
        return read_unmeasured(self._storage, self.study.study_id)

    def measures(self) -> Measures:
        """Return the study's domain measures.

        Raises:
            StudyError: they have not been taken.
        """
        found = read_measures(self._storage, self.study.study_id)
        if found is None:
            raise not_measured(self._storage, self.study)
        return found

    def prior(self) -> Prior:
        """Return the study's prior.

        Raises:
            StudyError: there is none: the study is not measured, or its spec turns the prior off.
        """
        found = self.prior_or_none()
        if found is not None:
            return found
        self.measures()
        raise StudyError(
            f"study {self.study.name!r} has no prior, as its spec says prior.use = false; give "
            "tlsearch prior --spec SPEC.toml a spec with prior.use = true"
        )

    def prior_or_none(self) -> Prior | None:
        """Return the study's prior, or None if there is none."""
        return read_prior(self._storage, self.study.study_id)


def not_measured(storage: RDBStorage, study: StoredStudy) -> StudyError:
    """Return the error that says why a study has no measures, and what to do."""
    name = study.name
    if study.spec.measures.when == "off":
        return StudyError(
            f'study {name!r} has no measures, as its spec says measures.when = "off"; create a '
            'study with "worker" or "create" to have them'
        )
    reason = read_unmeasured(storage, study.study_id)
    if reason is not None:
        return StudyError(
            f"study {name!r} could not be measured, so it is searched without a prior ({reason}); "
            f"fix that and run tlsearch measure {shlex.quote(name)}"
        )
    return StudyError(
        f"study {name!r} has not been measured yet; run tlsearch measure {shlex.quote(name)}, or a "
        "worker, which does it before its first trial"
    )


def recommended_answer(study_name: str, storage: str | None = None) -> Answer | None:
    """Return what to use of all that a study found, with its model files.

    It is fixed features with a linear classifier, the best fine-tuned trial, or the geometric mean
    of both's probabilities: see `tlsearch.records.answer.recommended`.

    Args:
        study_name: the study.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Returns:
        None before a trial is complete.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    return StudyReader(study_name, storage).answer()


def best_trials(
    study_name: str, storage: str | None = None, *, top: int | None = None, by: By = "seen"
) -> list[TrialRecord]:
    """Return the complete trials of a study, the most accurate first.

    Args:
        study_name: the study.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        top: at most so many; None = all.
        by: `seen`, the accuracy they showed on the validation images, or `expected`, what they
            should reach on new ones (`TrialRecord.expected_accuracy`).

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    return StudyReader(study_name, storage).best(top, by=by)
