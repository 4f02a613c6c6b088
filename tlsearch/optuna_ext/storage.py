"""An Optuna storage for many workers on one PostgreSQL.

Needs Optuna, SQLAlchemy and psycopg alone, beside its two neighbours here. With plain Optuna:

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
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.optuna_ext.pending import Pending, write


class BatchedStorage(BaseStorage):
    """Reads only what is new, and writes what concerns a running trial in batches.

    Everything said of a running trial (parameters, attributes, reports) is held and sent in one
    transaction: when the trial ends, on `flush`, and with the first report after
    `flush_seconds`. Until then other processes do not see it; this one does. A process that dies
    loses what it held. Everything else goes through to the storage underneath, whose heartbeats
    are not used.

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
        self._directions: dict[int, list[StudyDirection]] = {}
        self._distributions: dict[tuple[int, str], BaseDistribution] = {}
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
        """Hold what is said of a trial from now on, which runs in this process.

        Raises:
            KeyError: the study has no such trial that is queued or runs.
        """
        with self._lock:
            history = self.history(study_id)
            history.refresh(curve_of=trial_id)
            trial = next((each for each in history.open() if each._trial_id == trial_id), None)
            if trial is None:
                raise KeyError(f"trial {trial_id} of study {study_id} is neither queued nor runs")
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
        """Write what is held of a trial.

        Raises:
            KeyError: the trial was deleted.
            optuna.exceptions.UpdateFinishedTrialError: it was ended elsewhere.
        """
        with self._lock:
            pending = self._pending.get(trial_id)
            if pending is None:
                return
            state = write(self._backend.engine, trial_id, pending)
            self._pending.pop(trial_id, None)
            if state is None or state.is_finished():
                self.release(trial_id)
            if state is None:
                raise KeyError(f"trial {trial_id} was deleted")
            self.check_trial_is_updatable(trial_id, state)

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
            self._check_distribution(self._study_of[trial_id], param_name, distribution)
            self._held(trial_id).params[param_name] = (param_value_internal, distribution)
            value = distribution.to_external_repr(param_value_internal)
            own.params = {**own.params, param_name: value}
            own.distributions = {**own.distributions, param_name: distribution}

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            if trial_id not in self._own:
                self._backend.set_trial_user_attr(trial_id, key, value)
                return
            value = json.loads(json.dumps(value))  # as it will be read; a copy
            self._held(trial_id).user_attrs[key] = value
            own = self._own[trial_id]
            own.user_attrs = {**own.user_attrs, key: value}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            if trial_id not in self._own:
                self._backend.set_trial_system_attr(trial_id, key, value)
                return
            value = json.loads(json.dumps(value))  # as it will be read; a copy
            self._held(trial_id).system_attrs[key] = value
            own = self._own[trial_id]
            own.system_attrs = {**own.system_attrs, key: value}

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
            if not found and not history.trials():
                self._backend.get_study_name_from_id(study_id)  # KeyError where it was deleted
            for own in self._own.values():
                at = bisect_left(found, own.number, key=lambda trial: trial.number)
                if at < len(found) and _is_open(found[at], own._trial_id):
                    found[at] = _snapshot(own)
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
            own = {trial_id: _snapshot(trial) for trial_id, trial in self._own.items()}
            return [own.get(trial._trial_id, trial) for trial in open_now]

    # Passed on.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """See `optuna.storages.BaseStorage`."""
        return int(self._backend.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            self._backend.delete_study(study_id)
            self._histories.pop(study_id, None)
            self._directions.pop(study_id, None)

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
        if study_id not in self._directions:
            self._directions[study_id] = self._backend.get_study_directions(study_id)
        return list(self._directions[study_id])

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

    def _check_distribution(self, study_id: int, name: str, distribution: BaseDistribution) -> None:
        """Raise ValueError where other trials of the study have the parameter otherwise."""
        known = self._distributions.get((study_id, name))
        if known is None:
            trials = self.history(study_id).trials()
            found = (t.distributions[name] for t in trials if name in t.distributions)
            known = self._distributions[study_id, name] = next(found, distribution)
        check_distribution_compatibility(known, distribution)

    def _study_id_of(self, trial_id: int) -> int:
        with self._backend.engine.connect() as connection:
            found = connection.execute(_STUDY_ID, {"trial_id": trial_id})
            return int(found.scalar_one())


def _snapshot(own: FrozenTrial) -> FrozenTrial:
    """Return a trial of this process as it stands now.

    Whoever asked for it counts on that: the pruner of successive halving notes a value with the
    trial and adds it to those of the trials that it read before.
    """
    trial = copy.copy(own)  # its attributes and parameters are replaced, never changed
    trial.intermediate_values = own.intermediate_values.copy()
    return trial


def _is_open(trial: FrozenTrial, trial_id: int) -> bool:
    return trial._trial_id == trial_id and not trial.state.is_finished()


_STUDY_ID = sa.text("SELECT study_id FROM trials WHERE trial_id = :trial_id")
