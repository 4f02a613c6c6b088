"""Calls one SQL statement in a transaction of its own."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa


def call(engine: sa.Engine, statement: sa.TextClause, values: Mapping[str, Any]) -> Any:
    """Run a statement and return its only row, or None where it returns no rows."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        result = connection.execute(statement, values)
        return result.one() if result.returns_rows else None
