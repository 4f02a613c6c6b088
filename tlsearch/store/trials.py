"""Trials in the database as records."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.records import (
    AS_RECIPE,
    FIXED_FEATURES,
    HYPERPARAMETER_NAMES,
    Hyperparameters,
    StudyStatus,
    TrialRecord,
    Variation,
)
from tlsearch.records.objective import (
    ACCURACY,
    LEAD_ERROR,
    MEAN_SCORE,
    SCORE_ERROR,
    OwnScore,
    attr,
    objective_in,
)
from tlsearch.store.controls import read_controls
from tlsearch.store.expected import read_expected, with_expected
from tlsearch.store.stored_study import StoredStudy

T = TypeVar("T")
By = Literal["seen", "expected"]

_SILENT = text(
    "SELECT number, extract(epoch FROM clock_timestamp() - last_seen_at)"
    " FROM tlsearch.attempts AS held JOIN trials USING (trial_id)"
    " WHERE held.study_id = :study_id AND ended_at IS NULL"
)
_COUNTS = text(
    "SELECT lower(state::text), count(*) FROM trials WHERE study_id = :study_id GROUP BY 1"
)


def trial_counts(storage: RDBStorage, study_id: int) -> dict[str, int]:
    """Return how many trials are in each state (Optuna's states in lower case)."""
    with storage.engine.connect() as connection:
        rows = connection.execute(_COUNTS, {"study_id": study_id}).all()
    return {state.name.lower(): 0 for state in TrialState} | {state: n for state, n in rows}


def trial_records(
    storage: RDBStorage, study_id: int, history: StudyHistory | None = None
) -> list[TrialRecord]:
    """Return all trials of a study, by number.

    Args:
        storage: Optuna's storage.
        study_id: Optuna's key of the study.
        history: what was read of it before; only what is new is read then.
    """
    history = history or StudyHistory(storage.engine, study_id)
    history.refresh()
    records = [to_record(trial) for trial in history.trials()]
    return with_expected(records, read_expected(storage.engine, study_id))


def best_first(records: list[TrialRecord], by: By = "seen") -> list[TrialRecord]:
    """Return the complete trials, the best first, the earlier one first among equals.

    Args:
        records: trials in any state.
        by: `seen`, the score they showed, or `expected`; those without come last then.
    """
    complete = [record for record in records if record.state == "complete"]
    if by == "expected":
        return sorted(complete, key=lambda record: (-_rank(record.expected_score), *_seen(record)))
    return sorted(complete, key=_seen)


def _seen(record: TrialRecord) -> tuple[float, int]:
    return -_rank(record.score), record.number


def _rank(score: float | None) -> float:
    return -math.inf if score is None else score


def study_status(
    storage: RDBStorage, study: StoredStudy, history: StudyHistory | None = None
) -> StudyStatus:
    """Return where a study stands; see `trial_records` for the arguments."""
    records = trial_records(storage, study.study_id, history)
    silent = _silent_seconds(storage, study.study_id)
    counts = {state.name.lower(): 0 for state in TrialState}
    for record in records:
        counts[record.state] += 1
    ranked = best_first(records)
    default = [record for record in ranked if record.origin == "default"]
    floor = [record for record in ranked if record.origin == FIXED_FEATURES]
    return StudyStatus(
        name=study.name,
        controls=read_controls(storage.engine, study.study_id),
        counts=counts,
        default=default[0] if default else None,
        floor=floor[0] if floor else None,
        best=ranked[0] if ranked else None,
        train_seconds=sum(record.seconds or 0.0 for record in records),
        running=tuple(
            replace(record, silent_seconds=silent.get(record.number))
            for record in records
            if record.state == "running"
        ),
    )


def _silent_seconds(storage: RDBStorage, study_id: int) -> dict[int, float]:
    """Return how long ago the last heartbeat of each running trial was, by trial number."""
    with storage.engine.connect() as connection:
        rows = connection.execute(_SILENT, {"study_id": study_id}).all()
    return {number: float(seconds) for number, seconds in rows}


def to_record(trial: FrozenTrial) -> TrialRecord:
    """Read one of Optuna's trials."""
    attrs = trial.user_attrs
    variation, own = _variation(attrs), _own(trial)
    return TrialRecord(
        number=trial.number,
        state=trial.state.name.lower(),
        val_accuracy=_score(trial) if own is None else _number(attrs.get(attr(ACCURACY))),
        params=None if attrs.get("origin") == FIXED_FEATURES else _params(trial.params),
        epochs=len(trial.intermediate_values),
        seconds=_number(attrs.get("seconds")),
        origin=_as(str, attrs.get("origin")),
        attempt=_as(int, attrs.get("attempt")) or 0,
        worker=_as(str, attrs.get("worker")),
        reason_kind=_as(str, attrs.get("reason_kind")),
        reason=_as(str, attrs.get("reason")),
        duplicate_of=_as(int, attrs.get("duplicate_of")),
        mean_with_fixed_features=_number(attrs.get("mean_with_fixed_features")),
        right_alone=_pair(attrs.get("right_alone"), attrs.get("fixed_features_right_alone")),
        seed=variation.seed,
        train_on=variation.train_on,
        own=own,
    )


def _own(trial: FrozenTrial) -> OwnScore | None:
    attrs = trial.user_attrs
    objective = objective_in(attrs)
    if objective == ACCURACY:
        return None
    return OwnScore(
        objective,
        score=_score(trial),
        error=_number(attrs.get(SCORE_ERROR)),
        mean_with_fixed_features=_number(attrs.get(MEAN_SCORE)),
        lead_error=_number(attrs.get(LEAD_ERROR)),
    )


def _variation(attrs: Mapping[str, Any]) -> Variation:
    """Return how a trial differs from the recipe; what no worker would train is left out."""
    try:
        return Variation.from_attrs(attrs)
    except ValueError:
        return AS_RECIPE


def _pair(one: Any, other: Any) -> tuple[int, int] | None:
    return (one, other) if isinstance(one, int) and isinstance(other, int) else None


def _params(params: Mapping[str, Any]) -> Hyperparameters | None:
    if any(_number(params.get(name)) is None for name in HYPERPARAMETER_NAMES):
        return None
    return Hyperparameters.from_dict(params)


def _score(trial: FrozenTrial) -> float | None:
    """Return a trial's value; None also where another program gave it one that is none."""
    if trial.state is TrialState.COMPLETE and trial.values:
        return _finite(trial.values[0])
    last = trial.last_step
    return None if last is None else _finite(trial.intermediate_values[last])


def _as(kind: type[T], value: Any) -> T | None:
    """Return an attribute; None where another program gave it a value of another kind."""
    return value if isinstance(value, kind) else None


def _number(value: Any) -> float | None:
    return _finite(value) if isinstance(value, int | float) else None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
