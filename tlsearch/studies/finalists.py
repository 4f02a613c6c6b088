"""Chooses the finalists of a study, and trains them over several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optuna.storages import RDBStorage

from tlsearch.errors import InputError
from tlsearch.optuna_ext.history import HIDDEN
from tlsearch.records import Measures, TrialRecord
from tlsearch.records.finals import Finals
from tlsearch.records.finals_plan import Candidate, FinalsPlan, new_seeds
from tlsearch.records.names import FINALISTS_SUFFIX
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import change_budget
from tlsearch.store.family import find_search, read_member
from tlsearch.store.finals import PLAN, read_plan, write_plan
from tlsearch.store.locks import study_lock
from tlsearch.store.measures import read_measures
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import NewStudy, write_studies
from tlsearch.store.trials import trial_records
from tlsearch.studies.candidates import ranked_candidates
from tlsearch.studies.finals import read_finals
from tlsearch.studies.members import check_runs, member_attrs, member_spec, refuse_fewer

if TYPE_CHECKING:
    from tlsearch.worker import Progress

TOP, SEEDS = 3, 4
MOST_TOP = 50
FACTORS = (1 / 3, 1.0, 3.0)  # of the plain rate: what is tried of the plain default
_APART = 1.2  # rates that are closer than this factor are one


@dataclass(frozen=True, slots=True)
class QueuedFinals:
    """A study of finalists whose runs are queued.

    Attributes:
        study: its name.
        plan: its runs.
        created: whether it was created now.
        later: complete trials of the search that came after the finalists were chosen.
    """

    study: str
    plan: FinalsPlan
    created: bool
    later: int


def queue_finalists(
    study_name: str,
    storage: str | None = None,
    *,
    top: int | None = None,
    seeds: int | None = None,
    gpu_hours: float | None = None,
) -> QueuedFinals:
    """Choose the finalists of a study and queue their runs, or add what is missing.

    Finalists that were chosen stay; a larger `top` adds the next best, more `seeds` add runs.

    Args:
        study_name: the search.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        top: distinct configurations, 1 to 50; None = 3, or as many as there are.
        seeds: trainings of each, 2 to 100; None = 4, or as many as there are.
        gpu_hours: hours that workers may hold the runs, summed; None = no limit, or as it is.

    Raises:
        InputError: a number out of its range.
        StudyError: no such study, no complete trial, or the finalists are more than was asked for,
            or those of another study.
        StorageError: the database cannot be reached.
    """
    _check_top(top)
    check_runs(seeds, gpu_hours)
    database = open_storage(storage)
    search = find_search(database, study_name)
    member = read_member(database, search, FINALISTS_SUFFIX)
    created = member is None
    if member is None:
        plan = _new_plan(database, search, top or TOP, seeds or SEEDS)
        _create(database, search, plan, gpu_hours)
        member = read_member(database, search, FINALISTS_SUFFIX)
        assert member is not None, "it was written"
    if gpu_hours is not None:
        change_budget(database.engine, member.study_id, {"gpu_hours": gpu_hours})
    with study_lock(database.engine, member.study_id):
        plan = _extended(database, search, member, top, seeds)
        write_plan(database, member.study_id, plan)
    later = _n_complete(trial_records(database, search.study_id)) - plan.n_complete
    return QueuedFinals(member.name, plan, created, later)


def run_finalists(
    study_name: str,
    storage: str | None = None,
    *,
    top: int | None = None,
    seeds: int | None = None,
    gpu_hours: float | None = None,
    device: str = "auto",
    data_path: str | None = None,
    weights: str | None = None,
    artifacts: str | None = None,
    progress: "Progress | None" = None,
) -> Finals:
    """Choose the finalists of a study and train them in this process, or go on with that.

    Any other worker takes part by `run_worker("NAME/finalists")`.

    Args:
        study_name: the search.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        top: distinct configurations, 1 to 50; None = 3, or as many as there are.
        seeds: trainings of each, 2 to 100; None = 4, or as many as there are.
        gpu_hours: hours that workers may hold the runs, summed; None = no limit, or as it is.
        device: auto, cpu, cuda or cuda:N.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
        artifacts: where checkpoints and models lie, as for `run_worker`.
        progress: told what happens.

    Raises:
        InputError, StudyError, StorageError: as `queue_finalists`.
        DataError, WorkerStopped: as `run_worker`.
    """
    from tlsearch.worker import run_worker

    queued = queue_finalists(study_name, storage, top=top, seeds=seeds, gpu_hours=gpu_hours)
    run_worker(
        queued.study,
        storage,
        device=device,
        data_path=data_path,
        weights=weights,
        artifacts=artifacts,
        progress=progress,
    )
    found = read_finals(study_name, storage)
    assert found is not None, "they were queued"
    return found


def _check_top(top: int | None) -> None:
    if top is not None and not 1 <= top <= MOST_TOP:
        raise InputError(f"--top {top}: must lie between 1 and {MOST_TOP}")


def _new_plan(database: RDBStorage, search: StoredStudy, top: int, seeds: int) -> FinalsPlan:
    records = trial_records(database, search.study_id)
    seed, default = search.spec.recipe.seed, search.space.plain_default()
    measures = read_measures(database, search.study_id)
    seen = _seen_default(search, records)
    return FinalsPlan(
        candidates=tuple(ranked_candidates(search, records)[:top]),
        seeds=new_seeds(seed, seeds),
        search_seed=seed,
        default=default,
        rates=rates_to_try(search, measures, known=seen is not None),
        seen=seen,
        floor=search.space.nearest_to_fixed_features(),
        floor_attrs=((HIDDEN, True),),
        n_complete=_n_complete(records),
    )


def _seen_default(
    search: StoredStudy, records: Sequence[TrialRecord]
) -> tuple[float, float] | None:
    """Return the rate and the score of the search's own run of the plain default."""
    default = search.space.plain_default()
    for trial in records:
        if trial.state == "complete" and trial.params == default and trial.score is not None:
            return default.high_lr, trial.score
    return None


def rates_to_try(
    search: StoredStudy, measures: Measures | None, *, known: bool
) -> tuple[float, ...]:
    """Return the rates of the plain default that are to be tried in single runs.

    They are a third of the plain rate, the plain rate, three times it, and that of the range test,
    within the study's range, without those that are nearly the same.

    Args:
        search: the study.
        measures: its measures; None where there are none.
        known: whether the search ran the plain rate itself.
    """
    allowed, plain = search.space.ranges["high_lr"], search.space.plain_default().high_lr
    wanted = [plain, *(plain * factor for factor in FACTORS if factor != 1)]
    if measures is not None and measures.lr_range is not None:
        wanted.append(measures.lr_range)
    found: list[float] = []
    for rate in (allowed.nearest(float(f"{each:.3g}")) for each in wanted):
        if all(max(rate / each, each / rate) > _APART for each in found):
            found.append(rate)
    return tuple(found[1:] if known else found)


def _create(
    database: RDBStorage, search: StoredStudy, plan: FinalsPlan, gpu_hours: float | None
) -> None:
    """Write the study; its queue is filled under its lock, once it is there."""
    spec = member_spec(search.spec, FINALISTS_SUFFIX, plan.n_planned, gpu_hours)
    attrs = member_attrs(search, spec) | {PLAN: plan.as_dict()}
    write_studies(database, [NewStudy(spec.name, attrs, (), spec.budget)])


def _extended(
    database: RDBStorage,
    search: StoredStudy,
    member: StoredStudy,
    top: int | None,
    seeds: int | None,
) -> FinalsPlan:
    """Return the stored plan with what was asked for beyond it."""
    plan = read_plan(database, member.study_id)
    assert plan is not None, "it is never taken away"
    refuse_fewer(member, "top", top, len(plan.candidates))
    refuse_fewer(member, "seeds", seeds, len(plan.seeds))
    if seeds is not None and seeds > len(plan.seeds):
        plan = replace(plan, seeds=new_seeds(plan.search_seed, seeds))
    if top is not None and top > len(plan.candidates):
        records = trial_records(database, search.study_id)
        more = _others(search, records, plan)[: top - len(plan.candidates)]
        n_complete = _n_complete(records)
        plan = replace(plan, candidates=(*plan.candidates, *more), n_complete=n_complete)
    return plan


def _others(
    search: StoredStudy, records: Sequence[TrialRecord], plan: FinalsPlan
) -> list[Candidate]:
    """Return the candidates of the search that are no finalists yet."""
    n_body = search.space.n_body_layers
    there = {each.params.canonical(n_body) for each in plan.candidates}
    found = ranked_candidates(search, records)
    return [each for each in found if each.params.canonical(n_body) not in there]


def _n_complete(records: Sequence[TrialRecord]) -> int:
    return sum(each.state == "complete" for each in records)
