"""What is yet to be written of a running trial, and the transaction that writes it."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState


@dataclass
class Pending:
    """What is yet to be written of a running trial.

    Attributes:
        params: name to (internal representation, distribution).
        user_attrs: by key.
        system_attrs: by key.
        intermediate_values: by step.
        since: when the first of them was set, on the monotonic clock in seconds.
    """

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    intermediate_values: dict[int, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def params_as_json(self) -> list[tuple[str, float, str]]:
        """Return name, internal representation and distribution as JSON of each parameter."""
        return [
            (name, value, distribution_to_json(distribution))
            for name, (value, distribution) in self.params.items()
        ]


def write(engine: sa.Engine, trial_id: int, pending: Pending) -> TrialState | None:
    """Write everything in one transaction, if the trial still runs.

    Returns:
        The trial's state; None where it was deleted.

    Raises:
        sqlalchemy.exc.DBAPIError: nothing was written.
    """
    curve = pending.intermediate_values
    values = {
        "trial_id": trial_id,
        "params": json.dumps(pending.params_as_json()),
        "user": json.dumps({k: json.dumps(v) for k, v in pending.user_attrs.items()}),
        "system": json.dumps({k: json.dumps(v) for k, v in pending.system_attrs.items()}),
        "steps": list(curve),
        "values": list(curve.values()),
    }
    with engine.begin() as connection:
        state = connection.execute(_STATE, values).scalar()
        if state != TrialState.RUNNING.name:
            return None if state is None else TrialState[state]
        if pending.params:
            connection.execute(_PARAMS, values)
        if pending.user_attrs:
            connection.execute(_USER, values)
        if pending.system_attrs:
            connection.execute(_SYSTEM, values)
        if curve:
            connection.execute(_CURVE, values)
    return TrialState.RUNNING


_STATE = sa.text("SELECT state::text FROM trials WHERE trial_id = :trial_id FOR SHARE")
_PARAMS = sa.text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " SELECT :trial_id, p ->> 0, CAST(p ->> 1 AS double precision), p ->> 2"
    " FROM jsonb_array_elements(CAST(:params AS jsonb)) AS p"
    " ON CONFLICT (trial_id, param_name) DO UPDATE SET param_value = excluded.param_value,"
    " distribution_json = excluded.distribution_json"
)
_ATTRS = (
    "INSERT INTO {table} (trial_id, key, value_json)"
    " SELECT :trial_id, key, value FROM jsonb_each_text(CAST(:{values} AS jsonb))"
    " ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
)
_USER = sa.text(_ATTRS.format(table="trial_user_attributes", values="user"))
_SYSTEM = sa.text(_ATTRS.format(table="trial_system_attributes", values="system"))
_CURVE = sa.text(
    "INSERT INTO trial_intermediate_values"
    " (trial_id, step, intermediate_value, intermediate_value_type)"
    " SELECT :trial_id, step, CASE WHEN kind = 'FINITE' THEN value END,"
    " CAST(kind AS trialintermediatevaluetype)"
    " FROM (SELECT step, value, CASE value WHEN 'NaN' THEN 'NAN' WHEN 'Infinity' THEN 'INF_POS'"
    "       WHEN '-Infinity' THEN 'INF_NEG' ELSE 'FINITE' END AS kind"
    "       FROM unnest(CAST(:steps AS integer[]), CAST(:values AS double precision[]))"
    "       AS given (step, value)) AS curve"
    " ON CONFLICT (trial_id, step) DO UPDATE"
    " SET intermediate_value = excluded.intermediate_value,"
    " intermediate_value_type = excluded.intermediate_value_type"
)
