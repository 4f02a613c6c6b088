"""Queues planned runs, each once, and keeps the budget at their number."""

from collections.abc import Sequence

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tlsearch.records import Hyperparameters
from tlsearch.records.finals_plan import RUN_OF, PlannedRun, RunKey
from tlsearch.store.controls import change_budget
from tlsearch.store.studies import queue_trial


def run_trials(storage: RDBStorage, study_id: int) -> list[FrozenTrial]:
    """Return the trials of a study that are runs of something, in any state, by number."""
    trials = storage.get_all_trials(study_id, deepcopy=False)
    return [trial for trial in trials if isinstance(trial.user_attrs.get(RUN_OF), str)]


def queue_runs(
    storage: RDBStorage,
    study_id: int,
    runs: Sequence[PlannedRun],
    n_planned: int | None = None,
    *,
    again_if_failed: bool = False,
) -> int:
    """Queue the runs that are not there yet; call it under the study's lock.

    Interrupted half way, the next call does the rest.

    Args:
        storage: Optuna's storage.
        study_id: Optuna's key of the study.
        runs: in the order of the queue.
        n_planned: runs there will be in all; the budget of trials becomes their number. None =
            those that are there and these.
        again_if_failed: whether a run that failed is queued once more.

    Returns:
        How many were queued.
    """
    trials = run_trials(storage, study_id)
    failed = {t.number for t in trials if t.state is TrialState.FAIL} if again_if_failed else set()
    there = {run_key(trial) for trial in trials if trial.number not in failed}
    missing = [run for run in runs if run.key not in there]
    n_runs = len(trials) + len(missing) if n_planned is None else n_planned
    change_budget(storage.engine, study_id, {"trials": n_runs})
    for run in missing:
        queue_trial(storage, study_id, run.as_queued())
    return len(missing)


def run_key(trial: FrozenTrial) -> RunKey:
    """Return the key of the run that a trial was queued for."""
    attrs, params = trial.user_attrs, Hyperparameters.from_dict(trial.system_attrs["fixed_params"])
    return attrs[RUN_OF], attrs["origin"], attrs["seed"], params.high_lr
