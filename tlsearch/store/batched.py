"""An Optuna storage for many workers on one PostgreSQL.

Needs Optuna, SQLAlchemy and psycopg alone, apart from the history it reads with. With plain Optuna:

    storage = BatchedStorage(optuna.storages.RDBStorage(url))
    study = optuna.load_study(study_name="s", storage=storage, sampler=..., pruner=...)
    study.optimize(objective)
"""

import copy
import json
import threading
import time
from bisect import bisect_left
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from tlsearch.store.history import StudyHistory


@dataclass
class Pending:
    """What was said of a running trial and is yet to be written.

    Attributes:
        params: name to (internal representation, distribution).
        user_attrs: by key.
        system_attrs: by key.
        intermediate_values: by step.
        since: when the first of them was said, on the monotonic clock.
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


class BatchedStorage(BaseStorage):
    """Reads only what is new, and writes what concerns a running trial in batches.

    Everything said of a running trial (parameters, attributes, reports) is held and sent in one
    transaction: when the trial ends, on `flush`, and with the first report after
    `flush_seconds`. Until then other processes do not see it; this one does. A process that dies
    loses what it held. Everything else goes through to the storage underneath.

    Args:
        backend: Optuna's storage in the same PostgreSQL database.
        flush_seconds: how long a report may be held.
    """

    def __init__(self, backend: RDBStorage, flush_seconds: float = 1.0) -> None:
        self._backend = backend
        self._flush_seconds = flush_seconds
        self._histories: dict[int, StudyHistory] = {}
        self._own: dict[int, FrozenTrial] = {}
        self._study_of: dict[int, int] = {}
        self._pending: dict[int, Pending] = {}
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {"_backend": self._backend, "_flush_seconds": self._flush_seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew in another process."""
        self.__init__(state["_backend"], state["_flush_seconds"])  # type: ignore[misc]

    def history(self, study_id: int) -> StudyHistory:
        """Return the trials of a study as they were read last."""
        if study_id not in self._histories:
            self._histories[study_id] = StudyHistory(self._backend.engine, study_id)
        return self._histories[study_id]

    def adopt(self, study_id: int, trial_id: int) -> FrozenTrial:
        """Hold what is said of a trial from now on, which runs in this process."""
        with self._lock:
            history = self.history(study_id)
            history.refresh(curve_of=trial_id)
            (trial,) = (each for each in history.open() if each._trial_id == trial_id)
            self._own[trial_id] = copy.deepcopy(trial)
            self._study_of[trial_id] = study_id
            return self._own[trial_id]

    def holds(self, trial_id: int) -> bool:
        """Return whether something was said of a trial that is yet to be written."""
        return trial_id in self._pending

    def take(self, trial_id: int) -> Pending:
        """Return what is held of a trial, to be written by the caller, and forget it."""
        with self._lock:
            return self._pending.pop(trial_id, Pending())

    def release(self, trial_id: int) -> None:
        """Forget a trial that no longer runs in this process."""
        with self._lock:
            self._pending.pop(trial_id, None)
            self._own.pop(trial_id, None)
            self._study_of.pop(trial_id, None)

    def flush(self, trial_id: int) -> None:
        """Write what is held of a trial."""
        with self._lock:
            pending = self._pending.get(trial_id)
            if pending is not None:
                _write(self._backend.engine, trial_id, pending)
                self._pending.pop(trial_id, None)

    # Trials of this process: held.

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """See `optuna.storages.BaseStorage`."""
        trial_id = int(self._backend.create_new_trial(study_id, template_trial))
        if template_trial is None or template_trial.state is TrialState.RUNNING:
            self.adopt(study_id, trial_id)
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is None:
                self._backend.set_trial_param(
                    trial_id, param_name, param_value_internal, distribution
                )
                return
            self._held(trial_id).params[param_name] = (param_value_internal, distribution)
            own.params[param_name] = distribution.to_external_repr(param_value_internal)
            own.distributions[param_name] = distribution

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            if trial_id not in self._own:
                self._backend.set_trial_user_attr(trial_id, key, value)
                return
            self._held(trial_id).user_attrs[key] = value
            self._own[trial_id].user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            if trial_id not in self._own:
                self._backend.set_trial_system_attr(trial_id, key, value)
                return
            self._held(trial_id).system_attrs[key] = value
            self._own[trial_id].system_attrs[key] = value

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            if trial_id not in self._own:
                self._backend.set_trial_intermediate_value(trial_id, step, intermediate_value)
                return
            pending = self._held(trial_id)
            pending.intermediate_values[step] = float(intermediate_value)
            self._own[trial_id].intermediate_values[step] = float(intermediate_value)
            if time.monotonic() - pending.since >= self._flush_seconds:
                self.flush(trial_id)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            self.flush(trial_id)
            study_id = self._study_of.get(trial_id)
            done = self._backend.set_trial_state_values(trial_id, state, values)
            if state is not TrialState.RUNNING:
                self.release(trial_id)
            elif done and study_id is None:
                self.adopt(self._study_id_of(trial_id), trial_id)
            return done

    # Reading.

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            return copy.deepcopy(own) if own is not None else self._backend.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is not None:
                return copy.copy(own.system_attrs)
            return dict(self._backend.get_trial_system_attrs(trial_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            history = self.history(study_id)
            wanted = [state for state in TrialState if states is None or state in states]
            if all(state.is_finished() for state in wanted):
                history.refresh_finished()
            else:
                history.refresh()
            found = history.trials(wanted)
            for own in self._own.values():
                at = bisect_left(found, own.number, key=lambda trial: trial.number)
                if at < len(found) and found[at]._trial_id == own._trial_id:
                    found[at] = own
            return copy.deepcopy(found) if deepcopy else found

    def finished_trials(self, study_id: int, max_age_seconds: float = 0.0) -> list[FrozenTrial]:
        """Return the finished trials of a study in the order in which they were seen to end.

        Args:
            study_id: Optuna's key of the study.
            max_age_seconds: do not ask the database where it was asked no longer ago.

        Returns:
            The same list each time, which grows at its end; it must not be changed.
        """
        with self._lock:
            history = self.history(study_id)
            history.refresh_finished(max_age_seconds)
            return history.finished()

    def open_trials(self, study_id: int) -> list[FrozenTrial]:
        """Return the queued and running trials of a study as they were read last."""
        with self._lock:
            open_now = self.history(study_id).open()
            return [self._own.get(trial._trial_id, trial) for trial in open_now]

    # Passed on.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """See `optuna.storages.BaseStorage`."""
        return int(self._backend.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._histories.pop(study_id, None)
        self._backend.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._backend.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._backend.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """See `optuna.storages.BaseStorage`."""
        return int(self._backend.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        """See `optuna.storages.BaseStorage`."""
        return self._backend.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """See `optuna.storages.BaseStorage`; they never change, so they are asked for once."""
        known = self.__dict__.setdefault("_directions", {})
        if study_id not in known:
            known[study_id] = self._backend.get_study_directions(study_id)
        return list(known[study_id])

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """See `optuna.storages.BaseStorage`."""
        return self._backend.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """See `optuna.storages.BaseStorage`."""
        return self._backend.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """See `optuna.storages.BaseStorage`."""
        return self._backend.get_all_studies()

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """See `optuna.storages.BaseStorage`."""
        return int(self._backend.get_trial_id_from_study_id_trial_number(study_id, trial_number))

    def remove_session(self) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._backend.remove_session()

    def _held(self, trial_id: int) -> Pending:
        return self._pending.setdefault(trial_id, Pending())

    def _study_id_of(self, trial_id: int) -> int:
        with self._backend.engine.connect() as connection:
            found = connection.execute(_STUDY_ID, {"trial_id": trial_id})
            return int(found.scalar_one())


def _write(engine: sa.Engine, trial_id: int, pending: Pending) -> None:
    """Write everything in one transaction, if the trial still runs."""
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
        if connection.execute(_RUNS, values).first() is None:
            return
        if pending.params:
            connection.execute(_PARAMS, values)
        if pending.user_attrs:
            connection.execute(_USER, values)
        if pending.system_attrs:
            connection.execute(_SYSTEM, values)
        if curve:
            connection.execute(_CURVE, values)


_STUDY_ID = sa.text("SELECT study_id FROM trials WHERE trial_id = :trial_id")
_RUNS = sa.text("SELECT 1 FROM trials WHERE trial_id = :trial_id AND state = 'RUNNING' FOR SHARE")
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
