"""Reads what the finalists of a study reached; loads neither torch nor timm."""

from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from tlsearch.records.finals import Finals, SeedRun
from tlsearch.records.finals_plan import RUN_OF, TAKEN_FROM
from tlsearch.records.names import FINALISTS_SUFFIX
from tlsearch.records.objective import ACCURACY, attr, objective_in
from tlsearch.records.right import (
    MEAN_RIGHT,
    MEAN_VALUES,
    VAL_RIGHT,
    VAL_VALUES,
    right_from_text,
    values_from_text,
)
from tlsearch.report.finals import EndedRun, finals_of
from tlsearch.store.connect import open_storage
from tlsearch.store.family import read_member
from tlsearch.store.finals import read_plan
from tlsearch.store.runs import run_trials
from tlsearch.store.studies import find_study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_finals(name: str, storage: str | None = None) -> Finals | None:
    """Return what the finalists of a study reached, and which of them to use.

    Args:
        name: the search.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Returns:
        None where the study has no finalists yet.

    Raises:
        StudyError: no such study, or its finalists are those of another one.
        StorageError: the database cannot be reached.
    """
    database = open_storage(storage)
    search = find_study(database, name)
    member = read_member(database, search, FINALISTS_SUFFIX)
    plan = None if member is None else read_plan(database, member.study_id)
    if member is None or plan is None:
        return None
    trials = run_trials(database, member.study_id)
    ended = [ended_run(trial, search.data.n_val) for trial in trials]
    return finals_of(name, plan, ended, search.spec.objective)


def ended_run(trial: FrozenTrial, n_val: int) -> EndedRun:
    """Read a trial that is one run of something."""
    attrs = trial.user_attrs
    name, origin = attrs[RUN_OF], attrs["origin"]
    if trial.state is not TrialState.COMPLETE or trial.value is None:
        return EndedRun(name, origin, None, trial.state is TrialState.FAIL)
    run = seed_run(trial, trial.value, attrs["seed"], float(attrs.get("seconds", 0.0)))
    is_copy = TAKEN_FROM in attrs
    if run.own_score is None:
        right, mean = (_right(attrs.get(key), n_val) for key in (VAL_RIGHT, MEAN_RIGHT))
        return EndedRun(name, origin, run, right=right, mean_right=mean, is_copy=is_copy)
    values, mean_values = (_values(attrs.get(key), n_val) for key in (VAL_VALUES, MEAN_VALUES))
    return EndedRun(name, origin, run, right=values, mean_right=mean_values, is_copy=is_copy)


def seed_run(trial: FrozenTrial, score: float, seed: int, seconds: float) -> SeedRun:
    """Return a complete trial as a run of a seed."""
    if objective_in(trial.user_attrs) == ACCURACY:
        return SeedRun(trial.number, seed, score, seconds)
    accuracy = trial.user_attrs.get(attr(ACCURACY))
    return SeedRun(trial.number, seed, accuracy, seconds, score)


def _right(text: object, n_val: int) -> "NDArray[np.bool_] | None":
    return right_from_text(text, n_val) if isinstance(text, str) else None


def _values(text: object, n_val: int) -> "NDArray[np.float64] | None":
    return values_from_text(text, n_val) if isinstance(text, str) else None
