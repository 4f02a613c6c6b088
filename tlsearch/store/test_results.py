"""What models reached on the test images: a row for each look, never changed."""

import json
from dataclasses import replace

import sqlalchemy as sa

from tlsearch.errors import StudyError
from tlsearch.records.tested import TestResult

_READ = sa.text("SELECT result FROM tlsearch.test_results WHERE study_id = :study_id ORDER BY look")
# The study's row is locked, so that it is not deleted meanwhile and looks are counted one by one.
_LOCK = sa.text("SELECT study_id FROM studies WHERE study_id = :study_id FOR UPDATE")
_LOOK = sa.text(
    "SELECT coalesce(max(look), 0) + 1 FROM tlsearch.test_results WHERE study_id = :study_id"
)
_WRITE = sa.text(
    "INSERT INTO tlsearch.test_results (study_id, look, at, result)"
    " VALUES (:study_id, :look, :at, CAST(:result AS jsonb))"
)


def read_test_results(engine: sa.Engine, study_id: int) -> list[TestResult]:
    """Return all looks at the test images of a study, the first one first."""
    with engine.connect() as connection:
        rows = connection.execute(_READ, {"study_id": study_id}).scalars().all()
    return [TestResult.from_dict(row) for row in rows]


def write_test_result(
    engine: sa.Engine, study_id: int, result: TestResult, *, only_first: bool = False
) -> TestResult | None:
    """Record a look, and return it with its number: one more than those that are there.

    Args:
        engine: of the database.
        study_id: Optuna's key of the study.
        result: the look.
        only_first: record it only where it is the first one.

    Returns:
        None where it was not recorded, as another one was first.

    Raises:
        StudyError: the study was deleted meanwhile.
    """
    with engine.begin() as connection:
        if connection.execute(_LOCK, {"study_id": study_id}).first() is None:
            raise StudyError(f"study {result.study!r} was deleted")
        look = connection.execute(_LOOK, {"study_id": study_id}).scalar_one()
        if only_first and look > 1:
            return None
        result = replace(result, look=look)
        values = {"study_id": study_id, "look": look, "at": result.at, "result": _text(result)}
        connection.execute(_WRITE, values)
    return result


def _text(result: TestResult) -> str:
    """Return JSON that PostgreSQL takes: without NUL, and without half characters of odd names."""
    text = json.dumps(result.as_dict(), allow_nan=False, ensure_ascii=False)
    return text.encode(errors="replace").decode().replace("\\u0000", "\ufffd")
