"""Trains the models to be tested on training and validation images: the study `NAME/final`."""

import shlex
from collections.abc import Mapping, Sequence

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tlsearch.errors import StudyError
from tlsearch.optuna_ext.history import HIDDEN
from tlsearch.records import FIXED_FEATURES
from tlsearch.records.finals import MEAN, Finalist, Finals, SeedRun
from tlsearch.records.finals_plan import PlannedRun
from tlsearch.records.names import FINAL_SUFFIX
from tlsearch.store.family import read_member
from tlsearch.store.locks import study_lock
from tlsearch.store.runs import queue_runs, run_key, run_trials
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import NewStudy, write_studies
from tlsearch.studies.finals import seed_run
from tlsearch.studies.members import member_attrs, member_spec

ORIGIN = "final"  # of their trials


def final_finalists(finals: Finals, tested: Sequence[Finalist]) -> list[Finalist]:
    """Return those that are trained again: the recommended one, and the baselines."""
    answer = finals.winner if finals.recommended == MEAN else finals.recommended
    return [each for each in tested if each.name == answer or each.kind != "candidate"]


def final_runs(search: StoredStudy, finalists: Sequence[Finalist]) -> list[PlannedRun]:
    """Return the trainings, over the seeds that the finalists were trained over."""
    return [_run(search, each, run.seed) for each in finalists for run in each.runs]


def queue_final(
    database: RDBStorage, search: StoredStudy, runs: Sequence[PlannedRun]
) -> StoredStudy:
    """Return the study that trains the final models, with all runs queued that are not there.

    A run that failed is queued again. Interrupted half way, the next call does the rest.

    Raises:
        StudyError: the study's name is taken, or leaves no room for the suffix.
    """
    study = read_member(database, search, FINAL_SUFFIX) or _create(database, search, len(runs))
    with study_lock(database.engine, study.study_id):
        queue_runs(database, study.study_id, runs, again_if_failed=True)
    return study


def complete_runs(
    database: RDBStorage, study: StoredStudy, runs: Sequence[PlannedRun]
) -> Mapping[str, tuple[SeedRun, ...]]:
    """Return the trained runs by finalist.

    Raises:
        StudyError: one of them is not complete.
    """
    trials = run_trials(database, study.study_id)
    complete = {run_key(trial): trial for trial in trials if trial.state is TrialState.COMPLETE}
    found: dict[str, tuple[SeedRun, ...]] = {}
    for run in runs:
        if run.key not in complete:
            raise StudyError(_incomplete(study, run, trials))
        trial = complete[run.key]
        seconds = float(trial.user_attrs.get("seconds", 0.0))
        ended = seed_run(trial, trial.value or 0.0, run.seed, seconds)
        found[run.name] = (*found.get(run.name, ()), ended)
    return found


def _create(database: RDBStorage, search: StoredStudy, n_trials: int) -> StoredStudy:
    spec = member_spec(search.spec, FINAL_SUFFIX, n_trials)
    write_studies(database, [NewStudy(spec.name, member_attrs(search, spec), (), spec.budget)])
    study = read_member(database, search, FINAL_SUFFIX)
    assert study is not None, "it was written"
    return study


def _run(search: StoredStudy, finalist: Finalist, seed: int) -> PlannedRun:
    if finalist.params is not None:
        return PlannedRun(finalist.name, ORIGIN, finalist.params, seed, train_on="train+val")
    at, hidden = search.space.nearest_to_fixed_features(), ((HIDDEN, True),)
    return PlannedRun(finalist.name, FIXED_FEATURES, at, seed, hidden, "train+val")


def _incomplete(study: StoredStudy, run: PlannedRun, trials: Sequence[FrozenTrial]) -> str:
    failed = [trial for trial in trials if run_key(trial) == run.key]
    why = failed[-1].user_attrs.get("reason") if failed else None
    said = f" ({why})" if why else ""
    return (
        f"study {study.name!r}: {run.name}, seed {run.seed}, was not trained to its end{said}; see "
        f"tlsearch status {shlex.quote(study.name)}, and run the command again"
    )
