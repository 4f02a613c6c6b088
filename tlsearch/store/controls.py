"""What steers a study while it runs: its state and its budget as they stand now."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from tlsearch.errors import StudyError
from tlsearch.records import Controls
from tlsearch.spec import BudgetSpec

State = Literal["running", "paused", "stopped"]
LIMITS = ("trials", "gpu_hours", "until", "target_accuracy", "patience_trials")

_READ = sa.text(
    "SELECT c.state, c.trials, c.gpu_hours, c.until, c.target_accuracy, c.patience_trials,"
    " tlsearch.gpu_hours_used(c.study_id) AS gpu_hours_used,"
    " CASE WHEN r.verdict <> 'wait' THEN r.verdict END AS verdict,"
    " CASE WHEN r.verdict <> 'wait' THEN r.why END AS why"
    " FROM tlsearch.controls AS c, tlsearch.refusal(c.study_id, 0) AS r WHERE study_id = :study_id"
)
_CREATE = sa.text(
    "INSERT INTO tlsearch.controls (study_id, trials, gpu_hours, target_accuracy, patience_trials)"
    " VALUES (:study_id, :trials, :gpu_hours, :target_accuracy, :patience_trials)"
    " ON CONFLICT DO NOTHING"
)
# Other programs' studies may have an attribute `spec` as well, and need not be readable.
_CREATE_MISSING = sa.text(
    "INSERT INTO tlsearch.controls (study_id, trials)"
    " SELECT study_id, coalesce((spec.value_json::json #>> '{budget,trials}')::integer, 40)"
    " FROM study_user_attributes AS spec JOIN study_user_attributes AS hash USING (study_id)"
    " WHERE spec.key = 'spec' AND hash.key = 'spec_hash' AND hash.value_json ~ '^\"[0-9a-f]{64}\"$'"
    " ON CONFLICT DO NOTHING"
)
_STATE = sa.text(
    "UPDATE tlsearch.controls SET state = :state, changed_at = clock_timestamp()"
    " WHERE study_id = ANY(CAST(:study_ids AS integer[]))"
)
_BUDGET = {
    name: sa.text(f"UPDATE tlsearch.controls SET {name} = :limit WHERE study_id = :study_id")
    for name in LIMITS
}
_CHANGED = sa.text(
    "UPDATE tlsearch.controls SET changed_at = clock_timestamp() WHERE study_id = :study_id"
)
_DELETE_ORPHANS = tuple(
    sa.text(f"DELETE FROM tlsearch.{table} WHERE study_id NOT IN (SELECT study_id FROM studies)")
    for table in ("attempts", "controls", "expected_accuracies", "test_results")
)


def create_controls(connection: sa.Connection, study_id: int, budget: BudgetSpec) -> None:
    """Give a study the budget of its spec, unless it has one."""
    connection.execute(_CREATE, {"study_id": study_id, **budget.model_dump()})


def create_missing_controls(connection: sa.Connection) -> None:
    """Give studies without a budget, which an older tlsearch created, that of their spec."""
    connection.execute(_CREATE_MISSING)


def read_controls(engine: sa.Engine, study_id: int) -> Controls:
    """Return what steers a study.

    Raises:
        StudyError: there is nothing: the study was deleted.
    """
    with engine.connect() as connection:
        row = connection.execute(_READ, {"study_id": study_id}).one_or_none()
    if row is None:
        raise StudyError(
            "the study has no budget: it was deleted meanwhile, or an older tlsearch created it; "
            "for that one run tlsearch db migrate"
        )
    return Controls(**row._mapping)


def set_state(engine: sa.Engine, study_ids: Sequence[int], state: State) -> None:
    """Pause, stop or resume studies; their workers see it with their next report."""
    with engine.begin() as connection:
        connection.execute(_STATE, {"study_ids": list(study_ids), "state": state})


def change_budget(engine: sa.Engine, study_id: int, changes: Mapping[str, Any]) -> Controls:
    """Change limits of a study's budget; None takes a limit away.

    Args:
        engine: of the database.
        study_id: Optuna's key of the study.
        changes: by the names of `LIMITS`; those left out stay.

    Returns:
        What steers the study now.

    Raises:
        StudyError: as `read_controls`.
    """
    with engine.begin() as connection:
        connection.execute(_CHANGED, {"study_id": study_id})
        for name, limit in changes.items():
            connection.execute(_BUDGET[name], {"study_id": study_id, "limit": limit})
    return read_controls(engine, study_id)


def delete_orphan_rows(connection: sa.Connection) -> None:
    """Delete what was kept of studies that are gone."""
    for statement in _DELETE_ORPHANS:
        connection.execute(statement)
