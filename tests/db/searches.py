"""A search in the database whose trials are written by hand, and runs of its finalists."""

from typing import Any

import numpy as np
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from tlsearch.records import FIXED_FEATURES, Hyperparameters
from tlsearch.records.right import VAL_RIGHT, right_as_text
from tlsearch.space import resolve
from tlsearch.spec import SpaceSpec, parse_spec
from tlsearch.store.stored_study import (
    Provenance,
    StoredStudy,
    StudyBackbone,
    StudyData,
    to_attrs,
)
from tlsearch.store.studies import NewStudy, find_study, write_studies

N_VAL, N_BODY = 200, 9
NAME = "search"


def write_search(storage: RDBStorage, **tables: Any) -> StoredStudy:
    """Write a search without trials."""
    given = {"name": NAME, "data": {"path": "x"}, "backbone": {"model": "resnet18"}, **tables}
    spec = parse_spec(given)
    space = resolve(SpaceSpec(), N_BODY)
    data = StudyData(("a", "b"), "0" * 64, 80, N_VAL, 100)
    attrs = to_attrs(spec, space, data, StudyBackbone((), "0" * 64), Provenance({}, None))
    assert write_studies(storage, [NewStudy(NAME, attrs)])
    return find_study(storage, NAME)


def add_trial(
    storage: RDBStorage,
    study: StoredStudy,
    value: float | None,
    params: Hyperparameters | None = None,
    origin: str = "tpe",
) -> int:
    """Add an ended trial, the plain default but for `params`; None: it failed. Its number."""
    params = params or study.space.plain_default()
    trial = create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value,
        params=params.as_dict(),
        distributions=dict(study.space.distributions()),
        user_attrs={
            "origin": origin,
            "seconds": 2.0,
            "canonical": params.canonical(N_BODY).as_dict(),
        },
    )
    return storage.get_trial(storage.create_new_trial(study.study_id, trial)).number


def right_with(n: int, shift: int = 0) -> np.ndarray:
    """n images of all right, the first ones or, shifted, others."""
    return np.roll(np.arange(N_VAL) < n, shift)


def end_run(storage: RDBStorage, trial: FrozenTrial, right: np.ndarray | None) -> None:
    """End a queued run as a worker does; None: it failed."""
    if right is None:
        storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return
    if trial.user_attrs["origin"] != FIXED_FEATURES:
        known = find_study(storage, NAME).space.distributions()
        for name, value in trial.system_attrs["fixed_params"].items():
            storage.set_trial_param(trial._trial_id, name, value, known[name])
    storage.set_trial_user_attr(trial._trial_id, "seconds", 3.0)
    storage.set_trial_user_attr(trial._trial_id, VAL_RIGHT, right_as_text(right))
    storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [float(right.mean())])
