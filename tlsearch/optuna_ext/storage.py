"""An Optuna storage for many workers on one PostgreSQL.

With plain Optuna:

    storage = BatchedStorage(optuna.storages.RDBStorage(url))
    study = optuna.load_study(study_name="s", storage=storage, sampler=..., pruner=...)
    study.optimize(objective)
"""

import copy
import threading
import time
from bisect import bisect_left
from collections.abc import Container, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tlsearch.optuna_ext.history import StudyHistory, is_hidden
from tlsearch.optuna_ext.own_trial import OwnTrial
from tlsearch.optuna_ext.pass_through import PassThroughStorage
from tlsearch.optuna_ext.pending import Pending, write


class BatchedStorage(PassThroughStorage):
    """Reads only what is new, and writes what concerns a running trial in batches.

    The life of a trial in this process:

    1. *adopt*: the trial belongs to this process from here on. `create_new_trial` and a change of
       state to RUNNING do it; a program that claims trials by other means calls `adopt`.
    2. *hold*: parameters, attributes and reports of an adopted trial change the copy in memory, and
       are added to what is pending. `get_trial` reads that copy. Other processes see nothing yet.
    3. *flush*: all that is pending is written in one transaction: when the trial ends, on `flush`,
       and with the first report after `flush_seconds`. If it fails, it stays pending.
    4. *release*: the copy, and what is still pending, are dropped. The end of a trial does it, and
       so does a flush that finds the trial finished or deleted by another process.

    A program that writes the end of a trial by itself calls `take` in place of `flush`, which hands
    over what is pending, and then `release`.

    A process that dies loses what it held. Calls about any other trial, and about studies, go to
    the storage underneath, whose heartbeats are not used.

    Args:
        backend: Optuna's storage in the same PostgreSQL database.
        flush_seconds: how long a report may be held.
    """

    def __init__(self, backend: RDBStorage, flush_seconds: float = 1.0) -> None:
        super().__init__(backend)
        self._flush_seconds = flush_seconds
        self._histories: dict[int, StudyHistory] = {}
        self._own: dict[int, OwnTrial] = {}  # by trial id
        self._directions: dict[int, list[StudyDirection]] = {}
        self._distributions: dict[tuple[int, str], BaseDistribution] = {}
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {"backend": self._backend, "flush_seconds": self._flush_seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew in another process."""
        BatchedStorage.__init__(self, **state)

    def history(self, study_id: int) -> StudyHistory:
        """Return the trials of a study as they were read last."""
        if study_id not in self._histories:
            self._histories[study_id] = StudyHistory(self._backend.engine, study_id)
        return self._histories[study_id]

    # What belongs to this process.

    def adopt(self, study_id: int, trial_id: int) -> FrozenTrial:
        """Hold what is set on a trial from now on, which runs in this process.

        Returns:
            The copy in memory, which later calls change.

        Raises:
            KeyError: the study has no such trial that is queued or runs.
        """
        with self._lock:
            history = self.history(study_id)
            history.refresh(curve_of=trial_id)
            trial = next((each for each in history.open() if each._trial_id == trial_id), None)
            if trial is None:
                raise KeyError(f"trial {trial_id} of study {study_id} is neither queued nor runs")
            own = self._own[trial_id] = OwnTrial(study_id, copy.deepcopy(trial))
            return own.frozen

    def holds(self, trial_id: int) -> bool:
        """Return whether something of a trial is yet to be written."""
        own = self._own.get(trial_id)
        return own is not None and own.pending is not None

    def take(self, trial_id: int) -> Pending:
        """Return what is pending of a trial, for the caller to write, and forget it here."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is None or own.pending is None:
                return Pending()
            pending, own.pending = own.pending, None
            return pending

    def release(self, trial_id: int) -> None:
        """Forget a trial that no longer runs in this process, and what is pending of it."""
        with self._lock:
            self._own.pop(trial_id, None)

    def flush(self, trial_id: int) -> None:
        """Write what is pending of a trial.

        Raises:
            KeyError: the trial was deleted.
            optuna.exceptions.UpdateFinishedTrialError: another process ended it.
            sqlalchemy.exc.DBAPIError: it was not written and stays pending.
        """
        with self._lock:
            own = self._own.get(trial_id)
            if own is None or own.pending is None:
                return
            state = write(self._backend.engine, trial_id, own.pending)
            own.pending = None
            if state is None or state.is_finished():
                self.release(trial_id)
            if state is None:
                raise KeyError(f"trial {trial_id} was deleted")
            self.check_trial_is_updatable(trial_id, state)

    # Writing.

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
            self._check_distribution(own.study_id, param_name, distribution)
            own.set_param(param_name, param_value_internal, distribution)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is None:
                self._backend.set_trial_user_attr(trial_id, key, value)
            else:
                own.set_user_attr(key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is None:
                self._backend.set_trial_system_attr(trial_id, key, value)
            else:
                own.set_system_attr(key, value)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is None:
                self._backend.set_trial_intermediate_value(trial_id, step, intermediate_value)
                return
            pending = own.report(step, float(intermediate_value))
            if time.monotonic() - pending.since >= self._flush_seconds:
                self.flush(trial_id)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            self.flush(trial_id)
            done = self._backend.set_trial_state_values(trial_id, state, values)
            if state is not TrialState.RUNNING:
                self.release(trial_id)
            elif done and trial_id not in self._own:
                self.adopt(self._study_id_of(trial_id), trial_id)
            return done

    def delete_study(self, study_id: int) -> None:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            super().delete_study(study_id)
            self._histories.pop(study_id, None)
            self._directions.pop(study_id, None)

    # Reading.

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is not None:
                return copy.deepcopy(own.frozen)
            return self._backend.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """See `optuna.storages.BaseStorage`."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is not None:
                return copy.copy(own.frozen.system_attrs)
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
            found = [trial for trial in history.trials(wanted) if not is_hidden(trial)]
            if not found and not history.trials():
                self._backend.get_study_name_from_id(study_id)  # KeyError where it was deleted
            for own in self._own.values():
                at = bisect_left(found, own.frozen.number, key=lambda trial: trial.number)
                if at < len(found) and own.replaces(found[at]):
                    found[at] = own.snapshot()
            return copy.deepcopy(found) if deepcopy else found

    def finished_trials(self, study_id: int, max_age_seconds: float = 0.0) -> list[FrozenTrial]:
        """Return the finished trials of a study in the order in which they were seen to end.

        Args:
            study_id: Optuna's key of the study.
            max_age_seconds: do not read the database if it was read no longer ago than this.

        Returns:
            The same list each time, which grows at its end; it must not be changed.
        """
        with self._lock:
            history = self.history(study_id)
            history.refresh_finished(max_age_seconds)
            return history.shown()

    def open_trials(self, study_id: int) -> list[FrozenTrial]:
        """Return the queued and running trials of a study as they were read last."""
        with self._lock:
            open_now = self.history(study_id).open()
            own = {trial_id: trial.snapshot() for trial_id, trial in self._own.items()}
            seen = (trial for trial in open_now if not is_hidden(trial))
            return [own.get(trial._trial_id, trial) for trial in seen]

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """See `optuna.storages.BaseStorage`; they never change, so they are read once."""
        if study_id not in self._directions:
            self._directions[study_id] = super().get_study_directions(study_id)
        return list(self._directions[study_id])

    def _check_distribution(self, study_id: int, name: str, distribution: BaseDistribution) -> None:
        """Raise ValueError where other trials have the parameter with another distribution."""
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


_STUDY_ID = sa.text("SELECT study_id FROM trials WHERE trial_id = :trial_id")
