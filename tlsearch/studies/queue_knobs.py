"""Trains what tells which knob of a study's winner paid."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optuna.storages import RDBStorage

from tlsearch.records import Hyperparameters
from tlsearch.records.finals import Finals
from tlsearch.records.finals_plan import new_seeds
from tlsearch.records.knobs import KnobsPlan, KnobsTable
from tlsearch.records.names import KNOBS_SUFFIX
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import change_budget
from tlsearch.store.family import find_search, read_member
from tlsearch.store.locks import study_lock
from tlsearch.store.runs import queue_runs
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import NewStudy, read_attr, write_studies
from tlsearch.store.trials import trial_records
from tlsearch.studies.candidates import ranked_candidates
from tlsearch.studies.finals import read_finals
from tlsearch.studies.knobs import PLAN, read_knobs
from tlsearch.studies.members import check_runs, member_attrs, member_spec, refuse_fewer

if TYPE_CHECKING:
    from tlsearch.worker import Progress

SEEDS = 3


@dataclass(frozen=True, slots=True)
class QueuedKnobs:
    """A study of knobs whose runs are queued.

    Attributes:
        study: its name.
        plan: its runs.
        created: whether it was created now.
        winner_now: name of the winner as it is now, which may be another one.
    """

    study: str
    plan: KnobsPlan
    created: bool
    winner_now: str


def queue_knobs(
    study_name: str,
    storage: str | None = None,
    *,
    seeds: int | None = None,
    gpu_hours: float | None = None,
) -> QueuedKnobs:
    """Queue the runs that tell which knob paid, or add what is missing.

    From the plain default to the winner one knob at a time, and back. The winner is that of the
    finalists; where there are none, the configuration with the highest expected score.

    Args:
        study_name: the search.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        seeds: trainings of each, 2 to 100; None = 3, or as many as there are.
        gpu_hours: hours that workers may hold the runs, summed; None = no limit, or as it is.

    Raises:
        InputError: a number out of its range.
        StudyError: no such study, no complete trial, fewer seeds than there are, or the runs are
            those of another study.
        StorageError: the database cannot be reached.
    """
    check_runs(seeds, gpu_hours)
    database = open_storage(storage)
    search = find_search(database, study_name)
    name, winner = _winner(database, search, read_finals(study_name, storage))
    member = read_member(database, search, KNOBS_SUFFIX)
    created = member is None
    if member is None:
        _create(database, search, _new_plan(search, name, winner, seeds or SEEDS), gpu_hours)
        member = read_member(database, search, KNOBS_SUFFIX)
        assert member is not None, "it was written"
    if gpu_hours is not None:
        change_budget(database.engine, member.study_id, {"gpu_hours": gpu_hours})
    with study_lock(database.engine, member.study_id):
        plan = _extended(database, search, member, seeds)
        database.set_study_user_attr(member.study_id, PLAN, plan.as_dict())
        queue_runs(database, member.study_id, plan.runs())
    return QueuedKnobs(member.name, plan, created, name)


def run_knobs(
    study_name: str,
    storage: str | None = None,
    *,
    seeds: int | None = None,
    gpu_hours: float | None = None,
    device: str = "auto",
    data_path: str | None = None,
    weights: str | None = None,
    artifacts: str | None = None,
    progress: "Progress | None" = None,
) -> KnobsTable:
    """Train what tells which knob paid in this process, or go on with that.

    Any other worker takes part by `run_worker("NAME/knobs")`.

    Args:
        study_name: the search.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        seeds: trainings of each, 2 to 100; None = 3, or as many as there are.
        gpu_hours: hours that workers may hold the runs, summed; None = no limit, or as it is.
        device: auto, cpu, cuda or cuda:N.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
        artifacts: where checkpoints lie, as for `run_worker`.
        progress: told what happens.

    Raises:
        InputError, StudyError, StorageError: as `queue_knobs`.
        DataError, WorkerStopped: as `run_worker`.
    """
    from tlsearch.worker import run_worker

    queued = queue_knobs(study_name, storage, seeds=seeds, gpu_hours=gpu_hours)
    run_worker(
        queued.study,
        storage,
        device=device,
        data_path=data_path,
        weights=weights,
        artifacts=artifacts,
        progress=progress,
    )
    found = read_knobs(study_name, storage)
    assert found is not None, "they were queued"
    return found


def _winner(
    database: RDBStorage, search: StoredStudy, finals: Finals | None
) -> tuple[str, Hyperparameters]:
    if finals is not None and finals.complete and finals.winner is not None:
        params = finals.finalist(finals.winner).params
        assert params is not None, "a candidate has some"
        return finals.winner, params
    best = ranked_candidates(search, trial_records(database, search.study_id))[0]
    return best.name, best.params


def _new_plan(search: StoredStudy, name: str, winner: Hyperparameters, seeds: int) -> KnobsPlan:
    space, seed = search.space, search.spec.recipe.seed
    default = space.plain_default()
    return KnobsPlan(name, winner, default, new_seeds(seed, seeds), space.n_body_layers)


def _create(
    database: RDBStorage, search: StoredStudy, plan: KnobsPlan, gpu_hours: float | None
) -> None:
    n_runs = len(plan.runs())
    spec = member_spec(search.spec, KNOBS_SUFFIX, n_runs, gpu_hours, keep=False)
    attrs = member_attrs(search, spec) | {PLAN: plan.as_dict()}
    write_studies(database, [NewStudy(spec.name, attrs, (), spec.budget)])


def _extended(
    database: RDBStorage, search: StoredStudy, member: StoredStudy, seeds: int | None
) -> KnobsPlan:
    plan = KnobsPlan.from_dict(read_attr(database, member.study_id, PLAN) or {})
    refuse_fewer(member, "seeds", seeds, len(plan.seeds))
    if seeds is None or seeds == len(plan.seeds):
        return plan
    return replace(plan, seeds=new_seeds(search.spec.recipe.seed, seeds))
