"""What measuring leaves with a study: measures, prior and queued trials, once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.storages import RDBStorage

from tlsearch.records import FIXED_FEATURES, Hyperparameters, Measures, Prior, QueuedTrial
from tlsearch.store.controls import read_controls
from tlsearch.store.locks import study_lock
from tlsearch.store.stored_study import PRIOR, StoredStudy, prior_from
from tlsearch.store.studies import queue_trial, read_attr
from tlsearch.store.trials import trial_counts

MEASURES, UNMEASURED = "measures", "unmeasured"
LEFT_OUT = "left_out_seeds"  # the user attribute with the seeds for which there was no room
_MARK = "tlsearch:seed"


def read_measures(storage: RDBStorage, study_id: int) -> Measures | None:
    """Return the measures of a study, or None where they have not been taken."""
    found = read_attr(storage, study_id, MEASURES)
    return None if found is None else Measures.from_dict(found)


def read_prior(storage: RDBStorage, study_id: int) -> Prior | None:
    """Return the prior of a study as it is now, or None where there is none."""
    return prior_from(read_attr(storage, study_id, PRIOR))


def read_unmeasured(storage: RDBStorage, study_id: int) -> str | None:
    """Return why a study could not be measured; None where that was not tried or went well."""
    found: str | None = read_attr(storage, study_id, UNMEASURED)
    return found


def note_unmeasured(storage: RDBStorage, study_id: int, reason: str) -> None:
    """Note that a study could not be measured, so that workers search without a prior."""
    storage.set_study_user_attr(study_id, UNMEASURED, reason)


def save_measures(
    storage: RDBStorage,
    study: StoredStudy,
    measures: Measures,
    prior: Prior | None,
    seeds: Sequence[QueuedTrial],
) -> bool:
    """Store measures and prior and queue the seeds, once, whatever other workers do meanwhile.

    Seeds beyond the budget wait until it is raised (`queue_left_out`). Interrupted half way it is
    done again by the next one, which leaves alone what is there; the measures come last and say
    that all is done.

    Returns:
        False where another was first; nothing is changed then.
    """
    with study_lock(storage.engine, study.study_id):
        if read_attr(storage, study.study_id, MEASURES) is not None:
            return False
        if prior is not None:
            storage.set_study_user_attr(study.study_id, PRIOR, prior.as_dict())
        _queue(storage, study, seeds)
        storage.set_study_user_attr(study.study_id, MEASURES, measures.as_dict())
    return True


def queue_left_out(storage: RDBStorage, study: StoredStudy) -> None:
    """Queue the seeds for which a measured study's budget had no room, as far as it has now."""
    if not read_attr(storage, study.study_id, LEFT_OUT):
        return
    with study_lock(storage.engine, study.study_id):
        marks, room, kept = _marks(storage, study), _room(storage, study), []
        for each in read_attr(storage, study.study_id, LEFT_OUT) or []:
            if each["number"] in marks:  # by one that was interrupted
                continue
            if room > 0:
                params = Hyperparameters.from_dict(each["params"])
                seed = QueuedTrial(params, each["origin"], each["system_attrs"])
                queue_trial(storage, study.study_id, seed)
                room -= 1
            else:
                kept.append(each)
        storage.set_study_user_attr(study.study_id, LEFT_OUT, kept)


def replace_prior(
    storage: RDBStorage,
    study: StoredStudy,
    attrs: Mapping[str, Any],
    prior: Prior | None,
    seed: QueuedTrial | None,
) -> int | None:
    """Store a prior that the user edited, with the study's attributes that say so.

    The attributes come last, so that an interrupted edit is seen and can be made again; a seed that
    was queued before is not queued twice.

    Returns:
        The number of the trial that was queued, None where there is none or no room for it.
    """
    with study_lock(storage.engine, study.study_id):
        storage.set_study_user_attr(
            study.study_id, PRIOR, None if prior is None else prior.as_dict()
        )
        if read_attr(storage, study.study_id, LEFT_OUT):  # of the prior before
            storage.set_study_user_attr(study.study_id, LEFT_OUT, [])
        number = None if seed is None else _queue_once(storage, study, seed)
        for key, value in attrs.items():
            storage.set_study_user_attr(study.study_id, key, value)
    return number


def enqueue(storage: RDBStorage, study: StoredStudy, seed: QueuedTrial) -> int | None:
    """Queue a trial and return its number, or None where the budget leaves no room for it."""
    with study_lock(storage.engine, study.study_id):
        if not _room(storage, study):
            return None
        return storage.get_trial(queue_trial(storage, study.study_id, seed)).number


def _queue_once(storage: RDBStorage, study: StoredStudy, seed: QueuedTrial) -> int | None:
    params = seed.params.as_dict()
    for trial in storage.get_all_trials(study.study_id, deepcopy=False):
        is_floor = trial.user_attrs.get("origin") == FIXED_FEATURES  # it trains something else
        if trial.system_attrs.get("fixed_params") == params and not is_floor:
            return trial.number
    if not _room(storage, study):
        return None
    return storage.get_trial(queue_trial(storage, study.study_id, seed)).number


def _queue(storage: RDBStorage, study: StoredStudy, seeds: Sequence[QueuedTrial]) -> None:
    marks = _marks(storage, study)
    room = _room(storage, study) + sum(mark is not None for mark in marks)
    marked = [
        replace(seed, system_attrs={**seed.system_attrs, _MARK: number})
        for number, seed in enumerate(seeds)
    ]
    for number, seed in enumerate(marked[:room]):
        if number not in marks:
            queue_trial(storage, study.study_id, seed)
    if left_out := marked[room:]:
        storage.set_study_user_attr(study.study_id, LEFT_OUT, [_plain(seed) for seed in left_out])


def _plain(seed: QueuedTrial) -> dict[str, Any]:
    return {
        "number": seed.system_attrs[_MARK],
        "params": seed.params.as_dict(),
        "origin": seed.origin,
        "system_attrs": dict(seed.system_attrs),
    }


def _marks(storage: RDBStorage, study: StoredStudy) -> set[int | None]:
    trials = storage.get_all_trials(study.study_id, deepcopy=False)
    return {trial.system_attrs.get(_MARK) for trial in trials}


def _room(storage: RDBStorage, study: StoredStudy) -> int:
    """Return how many trials the budget leaves beyond those that are there, queued ones too."""
    budget = read_controls(storage.engine, study.study_id).trials
    return max(0, budget - sum(trial_counts(storage, study.study_id).values()))
