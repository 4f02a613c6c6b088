"""Studies in the database: what tlsearch keeps with each, written whole or not at all."""

import difflib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from sqlalchemy import text

from tlsearch.errors import StudyError
from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.records import BEING_CREATED_PREFIX, QueuedTrial
from tlsearch.spec import BudgetSpec
from tlsearch.store.controls import create_controls, delete_orphan_rows
from tlsearch.store.deletion import delete_study
from tlsearch.store.locks import create_lock
from tlsearch.store.stored_study import StoredStudy, from_attrs, is_of_tlsearch

_STUDY = text(
    "SELECT studies.study_id, key, value_json FROM studies"
    " LEFT JOIN study_user_attributes AS a ON a.study_id = studies.study_id"
    " WHERE study_name = :name"
)
_RENAME = text("UPDATE studies SET study_name = :name WHERE study_id = :study_id")
_ATTR = text(
    "SELECT value_json FROM study_user_attributes WHERE study_id = :study_id AND key = :key"
)
_DIRECTIONS = [StudyDirection.MAXIMIZE]


@dataclass(frozen=True)
class NewStudy:
    """A study to be written: its name, attributes, first queued trials and budget."""

    name: str
    attrs: Mapping[str, Any]
    seeds: Sequence[QueuedTrial] = ()
    budget: BudgetSpec = field(default_factory=BudgetSpec)


def study_names(storage: RDBStorage) -> list[str]:
    """Return the names of all studies in the database, sorted."""
    names = [study.study_name for study in storage.get_all_studies()]
    return sorted(name for name in names if not name.startswith(BEING_CREATED_PREFIX))


def find_study(storage: RDBStorage, name: str) -> StoredStudy:
    """Read a study.

    Raises:
        StudyError: there is none of this name, or tlsearch did not create it.
    """
    stored = read_study(storage, name)
    if stored is None:
        known = study_names(storage)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = (
            f"did you mean {close[0]}?"
            if close
            else f"the studies here are: {', '.join(known[:10])}"
            if known
            else "there is none here yet; tlsearch create SPEC.toml makes one"
        )
        raise StudyError(f"study {name!r} does not exist in this database; {hint}")
    return stored


def read_study(storage: RDBStorage, name: str) -> StoredStudy | None:
    """Read a study, or return None where there is none of this name.

    Raises:
        StudyError: tlsearch did not create it.
    """
    if not _is_storable(name):
        return None
    with storage.engine.connect() as connection:
        rows = connection.execute(_STUDY, {"name": name}).all()
    if not rows:
        return None
    study_id = int(rows[0].study_id)
    attrs = {row.key: json.loads(row.value_json) for row in rows if row.key is not None}
    if not is_of_tlsearch(attrs):
        raise StudyError(
            f"study {name!r} was not created by tlsearch, so it holds no spec; choose another name"
        )
    return from_attrs(study_id, name, attrs)


def write_studies(storage: RDBStorage, studies: Sequence[NewStudy]) -> bool:
    """Write studies with their attributes and queued trials, all of them whole or none.

    Each is built under a name of its own and all are renamed in one transaction; what an
    interrupted creation left behind is removed by the next one, and so are the others of a family
    whose first one was deleted. A database-wide lock makes sure that of several at the same moment
    one creates them.

    Returns:
        False where a study of the first one's name exists already; nothing is changed then.

    Raises:
        StudyError: another of the names is taken by a study that tlsearch did not create.
    """
    with create_lock(storage.engine), without_notices():
        _remove_unfinished(storage)
        taken = set(study_names(storage))
        if studies[0].name in taken:
            return False
        for study in studies[1:]:
            if study.name in taken:
                _remove_orphan(storage, study.name, studies[0].name)
        ids = {study.name: _write(storage, study) for study in studies}
        with storage.engine.begin() as connection:
            delete_orphan_rows(connection)
            for study in studies:
                create_controls(connection, ids[study.name], study.budget)
                values = {"name": study.name, "study_id": ids[study.name]}
                connection.execute(_RENAME, values)
    return True


def queue_trial(storage: RDBStorage, study_id: int, seed: QueuedTrial) -> int:
    """Queue a trial and return its id; under the study's lock if its budget matters."""
    trial = create_trial(
        state=TrialState.WAITING,
        system_attrs={"fixed_params": seed.params.as_dict(), **seed.system_attrs},
        user_attrs={"origin": seed.origin, **seed.user_attrs},
    )
    return int(storage.create_new_trial(study_id, trial))


def read_attr(storage: RDBStorage, study_id: int, key: str) -> Any | None:
    """Return one of tlsearch's attributes of a study, or None where it is not set."""
    with storage.engine.connect() as connection:
        found = connection.execute(_ATTR, {"study_id": study_id, "key": key}).scalar()
    return None if found is None else json.loads(found)


def load_optuna_study(
    storage: BaseStorage,
    name: str,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """Return Optuna's own study object."""
    return optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)


def _remove_unfinished(storage: RDBStorage) -> None:
    for study in storage.get_all_studies():
        if study.study_name.startswith(BEING_CREATED_PREFIX):
            delete_study(storage.engine, study._study_id)


def _remove_orphan(storage: RDBStorage, name: str, first: str) -> None:
    """Delete a study of a family whose first one is gone, if it is ours."""
    study_id = storage.get_study_id_from_name(name)
    if "spec_hash" not in storage.get_study_user_attrs(study_id):
        raise StudyError(
            f"study {name!r} exists already, and study {first!r} needs that name; choose another "
            "name"
        )
    delete_study(storage.engine, study_id)


def _write(storage: RDBStorage, study: NewStudy) -> int:
    study_id = int(storage.create_new_study(_DIRECTIONS, f"{BEING_CREATED_PREFIX}{uuid.uuid4()}"))
    for key, value in study.attrs.items():
        storage.set_study_user_attr(study_id, key, value)
    for seed in study.seeds:
        queue_trial(storage, study_id, seed)
    return study_id


def _is_storable(name: str) -> bool:
    """Whether PostgreSQL can hold a name: it has neither a NUL nor half a character."""
    return "\0" not in name and name == name.encode(errors="ignore").decode()
