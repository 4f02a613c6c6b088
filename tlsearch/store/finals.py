"""The plan of a study of finalists in the database, and the queue that follows it."""

from collections.abc import Sequence

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tlsearch.records.finals_plan import RATE_RUN, FinalsPlan
from tlsearch.store.locks import study_lock
from tlsearch.store.runs import queue_runs, run_trials
from tlsearch.store.studies import read_attr

PLAN = "finals"  # the study's user attribute that holds it


def read_plan(storage: RDBStorage, study_id: int) -> FinalsPlan | None:
    """Return the plan of a study of finalists; None where a study has none."""
    found = read_attr(storage, study_id, PLAN)
    return None if found is None else FinalsPlan.from_dict(found)


def write_plan(storage: RDBStorage, study_id: int, plan: FinalsPlan) -> int:
    """Store a plan and queue its runs; call it under the study's lock.

    Returns:
        How many runs were queued.
    """
    storage.set_study_user_attr(study_id, PLAN, plan.as_dict())
    return queue_runs(storage, study_id, plan.runs(), plan.n_planned)


def settle_default(storage: RDBStorage, study_id: int) -> tuple[bool, int]:
    """Choose the rate of the plain default once its single runs ended, and queue what follows.

    Any number of workers may call it at once: one of them does it. What an interrupted one left
    undone is done.

    Returns:
        Whether the rate is settled, and how many runs were queued.
    """
    with study_lock(storage.engine, study_id):
        plan = read_plan(storage, study_id)
        assert plan is not None, "it is never taken away"
        ended = _ended_rates(plan, run_trials(storage, study_id))
        if not plan.settled and ended is not None:
            plan = plan.with_default_rate(_accuracies(ended))
        return plan.settled, write_plan(storage, study_id, plan)


def rates_ended(storage: RDBStorage, study_id: int, plan: FinalsPlan) -> bool:
    """Whether every single run of the default ended."""
    return _ended_rates(plan, run_trials(storage, study_id)) is not None


def _ended_rates(plan: FinalsPlan, trials: Sequence[FrozenTrial]) -> list[FrozenTrial] | None:
    """Return the single runs of the default; None until all of them ended."""
    ended = [t for t in trials if t.user_attrs["origin"] == RATE_RUN and t.state.is_finished()]
    return ended if len(ended) >= len(plan.rates) else None


def _accuracies(trials: Sequence[FrozenTrial]) -> dict[float, float]:
    return {
        trial.system_attrs["fixed_params"]["high_lr"]: trial.value
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.value is not None
    }
