"""Expected scores of trials in the database.

The score is the accuracy unless the study has another objective; the table is older than that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import sqlalchemy as sa

from tlsearch.records import TrialRecord

_READ = sa.text(
    "SELECT number, expected_accuracy, sd FROM tlsearch.expected_accuracies"
    " JOIN trials USING (trial_id) WHERE trials.study_id = :study_id"
    " AND (CAST(:numbers AS integer[]) IS NULL OR number = ANY(CAST(:numbers AS integer[])))"
)
_WRITE = sa.text(
    "INSERT INTO tlsearch.expected_accuracies AS known"
    " (trial_id, study_id, expected_accuracy, sd, n_trials)"
    " SELECT trial_id, study_id, accuracy, deviation, :n_trials"
    " FROM unnest(CAST(:numbers AS integer[]), CAST(:accuracies AS double precision[]),"
    "             CAST(:deviations AS double precision[])) AS new (number, accuracy, deviation)"
    " JOIN trials USING (number) WHERE study_id = :study_id AND state = 'COMPLETE'"
    " ORDER BY trial_id"
    " ON CONFLICT (trial_id) DO UPDATE SET expected_accuracy = excluded.expected_accuracy,"
    " sd = excluded.sd, n_trials = excluded.n_trials, computed_at = clock_timestamp()"
    " WHERE known.n_trials <= excluded.n_trials"
)
_MISSING = sa.text(
    "SELECT EXISTS (SELECT FROM trials WHERE study_id = :study_id AND state = 'COMPLETE'"
    " AND NOT EXISTS (SELECT FROM tlsearch.expected_accuracies AS known"
    "                 WHERE known.trial_id = trials.trial_id))"
)

Figures = Mapping[int, tuple[float, float]]


def read_expected(
    engine: sa.Engine, study_id: int, numbers: Iterable[int] | None = None
) -> dict[int, tuple[float, float]]:
    """Return expected scores and their standard deviations by trial number.

    Args:
        engine: of the database.
        study_id: Optuna's key of the study.
        numbers: of these trials alone; None = of all that have them.
    """
    values = {"study_id": study_id, "numbers": None if numbers is None else list(numbers)}
    with engine.connect() as connection:
        rows = connection.execute(_READ, values).all()
    return {number: (score, sd) for number, score, sd in rows}


def write_expected(engine: sa.Engine, study_id: int, figures: Figures) -> None:
    """Write those of all complete trials of a study in one statement.

    What was computed from more trials meanwhile stays; trials that were deleted are left out.
    """
    with engine.begin() as connection:
        connection.execute(
            _WRITE,
            {
                "study_id": study_id,
                "n_trials": len(figures),
                "numbers": list(figures),
                "accuracies": [score for score, _ in figures.values()],
                "deviations": [sd for _, sd in figures.values()],
            },
        )


def expected_missing(engine: sa.Engine, study_id: int) -> bool:
    """Whether a complete trial of the study has no expected score yet."""
    with engine.connect() as connection:
        return bool(connection.execute(_MISSING, {"study_id": study_id}).scalar_one())


def with_expected(records: Iterable[TrialRecord], figures: Figures) -> list[TrialRecord]:
    """Return records with what is expected of them."""
    nothing = (None, None)
    return [with_expected_score(record, *figures.get(record.number, nothing)) for record in records]


def with_expected_score(
    record: TrialRecord, score: float | None, sd: float | None = None
) -> TrialRecord:
    """Return a record with its expected score."""
    if record.own is not None:
        return replace(record, own=replace(record.own, expected=score, expected_sd=sd))
    return replace(record, expected_accuracy=score, expected_accuracy_sd=sd)
