"""Trials in the database: reading them as records, and who holds them."""

import json
from collections.abc import Mapping
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from tlsearch.records import HYPERPARAMETER_NAMES, Hyperparameters, StudyStatus, TrialRecord
from tlsearch.store.studies import StoredStudy

_HOLDS = text(
    "SELECT 1 FROM trials JOIN trial_user_attributes AS claim USING (trial_id)"
    " WHERE trials.trial_id = :trial_id AND trials.state = 'RUNNING'"
    " AND claim.key = 'claim' AND claim.value_json = :claim"
)

# A running trial without a heartbeat was left between being claimed and its first sign of life:
# both happen under the study's lock, so nobody who holds the lock sees a live one.
_STALLED = text(
    "SELECT trials.trial_id FROM trials LEFT JOIN trial_heartbeats AS beat USING (trial_id)"
    " WHERE trials.study_id = :study_id AND trials.state = 'RUNNING'"
    " AND (beat.heartbeat IS NULL"
    "      OR beat.heartbeat < localtimestamp - make_interval(secs => :seconds))"
    " ORDER BY trials.trial_id"
)

_COUNTS = text(
    "SELECT lower(state::text), count(*) FROM trials WHERE study_id = :study_id GROUP BY 1"
)


def trial_counts(storage: RDBStorage, study_id: int) -> dict[str, int]:
    """Return how many trials are in each state (Optuna's states in lower case)."""
    with storage.engine.connect() as connection:
        rows = connection.execute(_COUNTS, {"study_id": study_id}).all()
    return {state.name.lower(): 0 for state in TrialState} | {state: n for state, n in rows}


def stalled_trials(storage: RDBStorage, study_id: int, after_seconds: float) -> list[int]:
    """Return the ids of running trials whose worker gave no sign of life for so long.

    Times are the server's alone. Call it only under the study's lock.
    """
    with storage.engine.connect() as connection:
        values = {"study_id": study_id, "seconds": after_seconds}
        return list(connection.execute(_STALLED, values).scalars())


def holds(storage: RDBStorage, trial_id: int, claim: str) -> bool:
    """Whether the trial runs and is still the one that was claimed with this token."""
    with storage.engine.connect() as connection:
        values = {"trial_id": trial_id, "claim": json.dumps(claim)}
        return connection.execute(_HOLDS, values).first() is not None


def trial_records(storage: RDBStorage, study_id: int) -> list[TrialRecord]:
    """Return all trials of a study, by number."""
    return [to_record(trial) for trial in storage.get_all_trials(study_id, deepcopy=False)]


def best_first(records: list[TrialRecord]) -> list[TrialRecord]:
    """Return the complete trials, the most accurate first, the earlier one first among equals."""
    complete = [record for record in records if record.state == "complete"]
    return sorted(complete, key=lambda record: (-(record.val_accuracy or 0.0), record.number))


def study_status(storage: RDBStorage, study: StoredStudy) -> StudyStatus:
    """Return where a study stands."""
    records = trial_records(storage, study.study_id)
    counts = {state.name.lower(): 0 for state in TrialState}
    for record in records:
        counts[record.state] += 1
    ranked = best_first(records)
    default = [record for record in ranked if record.origin == "default"]
    return StudyStatus(
        name=study.name,
        budget_trials=study.spec.budget.trials,
        counts=counts,
        default_val_accuracy=default[0].val_accuracy if default else None,
        best=ranked[0] if ranked else None,
        train_seconds=sum(record.seconds or 0.0 for record in records),
        running=tuple(record for record in records if record.state == "running"),
    )


def to_record(trial: FrozenTrial) -> TrialRecord:
    """Read one of Optuna's trials."""
    attrs = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        state=trial.state.name.lower(),
        val_accuracy=_val_accuracy(trial),
        params=_params(trial.params),
        epochs=len(trial.intermediate_values),
        seconds=attrs.get("seconds"),
        origin=attrs.get("origin"),
        attempt=attrs.get("attempt", 0),
        worker=attrs.get("worker"),
        reason=attrs.get("reason"),
        duplicate_of=attrs.get("duplicate_of"),
    )


def _params(params: Mapping[str, Any]) -> Hyperparameters | None:
    if any(name not in params for name in HYPERPARAMETER_NAMES):
        return None
    return Hyperparameters.from_dict(params)


def _val_accuracy(trial: FrozenTrial) -> float | None:
    if trial.state is TrialState.COMPLETE and trial.values:
        return float(trial.values[0])
    last = trial.last_step
    return None if last is None else trial.intermediate_values[last]
