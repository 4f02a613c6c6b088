"""Deletes studies, also those that are being worked on."""

from dataclasses import dataclass

import sqlalchemy as sa

from tlsearch.artifacts import attempt_file
from tlsearch.store.controls import delete_orphan_rows

_TOKENS = sa.text("SELECT token FROM tlsearch.attempts WHERE study_id = :study_id")
_PICTURES = sa.text(
    "SELECT substr(key, 11) FROM trial_system_attributes JOIN trials USING (trial_id)"
    " WHERE study_id = :study_id AND key LIKE 'artifacts:%'"
    " UNION ALL SELECT substr(key, 11) FROM study_system_attributes"
    " WHERE study_id = :study_id AND key LIKE 'artifacts:%'"
)
_N_TRIALS = sa.text("SELECT count(*) FROM trials WHERE study_id = :study_id")
_DELETE = sa.text("SELECT tlsearch.delete_study(:study_id)")


@dataclass(frozen=True, slots=True)
class DeletedStudy:
    """What was in a study that is gone.

    Attributes:
        n_trials: its trials, in any state.
        files: names of the files that its trials may have left among the artifacts.
    """

    n_trials: int
    files: tuple[str, ...]


def delete_study(engine: sa.Engine, study_id: int) -> DeletedStudy:
    """Delete a study with all its trials, in one transaction.

    Its workers notice within an epoch, remove the files they are writing, and end. Optuna's own
    deletion silently does nothing where a worker reports in the same moment.
    """
    values = {"study_id": study_id}
    with engine.begin() as connection:
        n_trials = connection.execute(_N_TRIALS, values).scalar_one()
        files = [str(each) for each in connection.execute(_PICTURES, values).scalars()]
        files += [
            attempt_file(str(token)) for token in connection.execute(_TOKENS, values).scalars()
        ]
        connection.execute(_DELETE, values)
    with engine.begin() as connection:  # another one: workers that report hold these rows
        delete_orphan_rows(connection)
    return DeletedStudy(n_trials, tuple(files))
