"""What a study found."""

from tlsearch.records import StudyStatus, TrialRecord
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study
from tlsearch.store.trials import best_first, study_status, trial_records


class StudyReader:
    """Reads one study.

    Attributes:
        study: its spec and what it was created with.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """

    def __init__(self, study_name: str, storage: str | None = None) -> None:
        self._storage = open_storage(storage)
        self.study = find_study(self._storage, study_name)

    def status(self) -> StudyStatus:
        """Return where the study stands."""
        return study_status(self._storage, self.study)

    def best(self, top: int | None = None) -> list[TrialRecord]:
        """Return the complete trials, the most accurate on validation first."""
        return best_first(trial_records(self._storage, self.study.study_id))[:top]


def best_trials(
    study_name: str, storage: str | None = None, *, top: int | None = None
) -> list[TrialRecord]:
    """Return the complete trials of a study, the most accurate on validation first.

    Args:
        study_name: the study.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        top: at most so many; None = all.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    return StudyReader(study_name, storage).best(top)
