"""What a study found."""

import shlex

from tlsearch.errors import StudyError
from tlsearch.prior import Prior
from tlsearch.records import Measures, StudyStatus, TrialRecord
from tlsearch.store.connect import open_storage
from tlsearch.store.measured import read_measures, read_prior
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

    def measures(self) -> Measures:
        """Return the study's domain measures.

        Raises:
            StudyError: they have not been taken.
        """
        found = read_measures(self._storage, self.study.study_id)
        if found is None:
            raise StudyError(self._not_measured())
        return found

    def prior(self) -> Prior:
        """Return the study's prior.

        Raises:
            StudyError: there is none, for want of measures or because its spec wants none.
        """
        stored = read_prior(self._storage, self.study.study_id)
        if stored is not None:
            return Prior.from_dict(stored)
        self.measures()
        raise StudyError(
            f"study {self.study.name!r} has no prior, as its spec says prior.use = false; give a "
            "spec without that to tlsearch prior --spec SPEC.toml"
        )

    def _not_measured(self) -> str:
        name = self.study.name
        if self.study.spec.measures.when == "off":
            return (
                f'study {name!r} has no measures, as its spec says measures.when = "off"; create '
                "a study without that to have them"
            )
        return (
            f"study {name!r} has not been measured yet; run tlsearch measure {shlex.quote(name)}, "
            "or a worker, which does it first"
        )


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
