"""How a user steers a study that exists: pause, stop, budget, trials of their own, deletion."""

import math
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Any

from tlsearch.artifacts import artifacts_place, remove_if_there
from tlsearch.errors import SpecError, StudyError
from tlsearch.records import (
    DEPTHS,
    HYPERPARAMETER_NAMES,
    Controls,
    Hyperparameters,
    QueuedTrial,
    measures_study_name,
)
from tlsearch.space import SearchSpace
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import LIMITS, State, change_budget, read_controls, set_state
from tlsearch.store.deletion import delete_study as delete
from tlsearch.store.family import family
from tlsearch.store.measures import enqueue, queue_left_out
from tlsearch.store.studies import find_study, read_study

_MOST_TRIALS = 2**31 - 1


@dataclass(frozen=True)
class Deleted:
    """A study that was deleted.

    Attributes:
        n_trials: trials it had, in any state.
        n_files: files of its trials that were removed: checkpoints, models, pictures.
        problem: why files may be left; None if none are known to be left.
    """

    n_trials: int
    n_files: int
    problem: str | None = None


def enqueue_trial(
    study_name: str, values: Mapping[str, float], storage: str | None = None
) -> tuple[int, Hyperparameters]:
    """Queue a trial of the user's own; it runs after those queued earlier and is never pruned.

    Args:
        study_name: the study.
        values: hyperparameters by name; those left out take the plain default's value.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Returns:
        Its number and all seven hyperparameters.

    Raises:
        SpecError: an unknown hyperparameter, or a value outside the study's range.
        StudyError: no such study, or its budget leaves no room for another trial.
    """
    database = open_storage(storage)
    study = find_study(database, study_name)
    space = study.space
    problems = [p for name, value in values.items() for p in _problems(name, value, space)]
    if problems:
        raise SpecError(problems)
    whole = Hyperparameters.from_dict({**space.plain_default().as_dict(), **values})
    number = enqueue(database, study, QueuedTrial(whole, "user"))
    if number is None:
        budget = read_controls(database.engine, study.study_id).trials
        raise StudyError(
            f"study {study_name!r}: its budget of {budget} trials is used up by those that ran or "
            "are queued (the default, the prior's), so a trial queued now would never run; raise "
            f"it first: tlsearch budget {shlex.quote(study_name)} --trials {budget + 1}"
        )
    return number, whole


def pause_study(study_name: str, storage: str | None = None) -> Controls:
    """Make a study's workers release their trials within an epoch, and wait for `resume_study`.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    return _set_state(study_name, storage, "paused")


def resume_study(study_name: str, storage: str | None = None) -> Controls:
    """Let workers continue a study that is paused or stopped; trials resume from checkpoints.

    Workers that exited when the study was stopped have to be started again.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    return _set_state(study_name, storage, "running")


def stop_study(study_name: str, storage: str | None = None) -> Controls:
    """Make a study's workers release their trials within an epoch, and exit.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    return _set_state(study_name, storage, "stopped")


def set_budget(study_name: str, changes: Mapping[str, Any], storage: str | None = None) -> Controls:
    """Change a study's budget; it is exact for any number of workers.

    Running workers see it within an epoch: if the study is over now, they release their trials,
    which continue when the budget is raised. A smaller `trials` lets running trials end. A larger
    one queues those of the prior's trials for which there was no room.

    Args:
        study_name: the study.
        changes: any of `trials`, `gpu_hours` (hours that workers hold trials, added up), `until`
            (a datetime with its zone), `target_accuracy` (a fraction), `patience_trials`; None
            removes a limit, except for `trials`.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Returns:
        The study's state and budget now.

    Raises:
        SpecError: an unknown limit, or a value it cannot have.
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    problems = [p for name, value in changes.items() for p in _limit_problems(name, value)]
    if problems:
        raise SpecError(problems)
    database = open_storage(storage)
    study = find_study(database, study_name)
    controls = change_budget(database.engine, study.study_id, changes)
    if changes.get("trials") is not None:
        queue_left_out(database, study)
    return controls


def delete_study(
    study_name: str, storage: str | None = None, *, artifacts: str | None = None
) -> Deleted:
    """Delete a study with its trials, its measures, its finalists and their files; workers stop.

    Args:
        study_name: the study.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        artifacts: where its files are, as for `run_worker`.

    Raises:
        StudyError: no such study.
        StorageError: the database cannot be reached.
    """
    database = open_storage(storage)
    study = find_study(database, study_name)
    whole = [study, *family(database, study)]
    gone = [delete(database.engine, each.study_id) for each in whole]
    where = artifacts_place(artifacts, study.spec.checkpoints.folder)
    names = [name for each in gone for name in each.files]
    removed, problem = remove_if_there(where, names) if names else (0, None)
    return Deleted(gone[0].n_trials, removed, problem)


def _set_state(study_name: str, storage: str | None, state: State) -> Controls:
    database = open_storage(storage)
    study = find_study(database, study_name)
    measures = read_study(database, measures_study_name(study_name))
    ids = [study.study_id] + ([measures.study_id] if measures is not None else [])
    set_state(database.engine, ids, state)
    return read_controls(database.engine, study.study_id)


def _limit_problems(name: str, value: Any) -> list[str]:
    if name not in LIMITS:
        return [f"{name}: no such limit; there are {', '.join(LIMITS)}"]
    if value is None:
        return ["trials: a study needs a number of trials; give one"] if name == "trials" else []
    if name == "until":
        return _time_problems(value)
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return [f"{name}: must be a whole number up to {_MOST_TRIALS}"]
    return [f"{name} = {value:g}: {must}" for must in _number_problems(name, value)]


def _time_problems(value: Any) -> list[str]:
    if not isinstance(value, datetime) or value.tzinfo is None:
        return [f"until = {value}: must be a time with its zone"]
    if value.year in (MINYEAR, MAXYEAR):  # in another zone its year may not exist
        return [f"until = {value}: must lie in the years {MINYEAR + 1} to {MAXYEAR - 1}"]
    return []


def _number_problems(name: str, value: float) -> list[str]:
    whole = name in ("trials", "patience_trials")
    if not (math.isfinite(value) and value > 0):
        return ["must be above 0"]
    if whole and (value != int(value) or value > _MOST_TRIALS):
        return [f"must be a whole number up to {_MOST_TRIALS}"]
    if name == "target_accuracy" and value > 1:
        return ["is a fraction, at most 1; 0.9 is 90 %"]
    return []


def _problems(name: str, value: float, space: SearchSpace) -> list[str]:
    if name not in HYPERPARAMETER_NAMES:
        return [f"{name}: no such hyperparameter; there are {', '.join(HYPERPARAMETER_NAMES)}"]
    allowed = space.ranges[name]
    if not math.isfinite(value):
        return [f"{name} = {value}: must be a finite number"]
    if name in DEPTHS and value != int(value):
        return [f"{name} = {value:g}: counts layers; give a whole number"]
    if not allowed.low <= value <= allowed.high:
        return [
            f"{name} = {value:g}: must lie within the study's range "
            f"[{allowed.low:g}, {allowed.high:g}]"
        ]
    return []
