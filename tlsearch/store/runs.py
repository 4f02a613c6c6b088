"""Queues planned runs, each once, and keeps the budget at their number."""

from collections.abc import Sequence

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from tlsearch.records import Hyperparameters
from tlsearch.records.finals_plan import RUN_OF, PlannedRun
from tlsearch.store.controls import change_budget
from tlsearch.store.studies import queue_trial


def run_trials(storage: RDBStorage, study_id: int) -> list[FrozenTrial]:
    """Return the trials of a study that are runs of something, in any state, by number."""
    trials = storage.get_all_trials(study_id, deepcopy=False)
    return [trial for trial in trials if isinstance(trial.user_attrs.get(RUN_OF), str)]


def queue_runs(
    storage: RDBStorage, study_id: int, runs: Sequence[PlannedRun], n_planned: int
) -> int:
    """Queue the runs that are not there yet; call it under the study's lock.

    Interrupted half way, the next call does the rest.

    Args:
        storage: Optuna's storage.
        study_id: Optuna's key of the study.
        runs: in the order of the queue.
        n_planned: runs there will be in all; the budget of trials becomes their number.

    Returns:
        How many were queued.
    """
    change_budget(storage.engine, study_id, {"trials": n_planned})
    there = {_key(trial) for trial in run_trials(storage, study_id)}
    missing = [run for run in runs if run.key not in there]
    for run in missing:
        queue_trial(storage, study_id, run.as_queued())
    return len(missing)


def _key(trial: FrozenTrial) -> tuple[str, str, int, float]:
    """Return the key of the run that a trial was queued for."""
    attrs, params = trial.user_attrs, Hyperparameters.from_dict(trial.system_attrs["fixed_params"])
    return attrs[RUN_OF], attrs["origin"], attrs["seed"], params.high_lr
