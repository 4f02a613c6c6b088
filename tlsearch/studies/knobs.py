"""Reads which knob of a study paid; loads neither torch nor timm."""

from tlsearch.records.knobs import KnobsPlan, KnobsTable
from tlsearch.records.names import KNOBS_SUFFIX
from tlsearch.report.importances import importances
from tlsearch.report.knobs import knobs_of
from tlsearch.report.range_ends import range_ends
from tlsearch.store.connect import open_storage
from tlsearch.store.family import read_member
from tlsearch.store.runs import run_trials
from tlsearch.store.studies import find_study, read_attr
from tlsearch.store.trials import best_first, to_record
from tlsearch.studies.finals import ended_run

PLAN = "knobs"  # the study's user attribute that holds it


def read_knobs(name: str, storage: str | None = None) -> KnobsTable | None:
    """Return which knob of a study's winner paid.

    Args:
        name: the search.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Returns:
        None where no run was queued yet.

    Raises:
        StudyError: no such study, or the runs are those of another one.
        StorageError: the database cannot be reached.
    """
    database = open_storage(storage)
    search = find_study(database, name)
    member = read_member(database, search, KNOBS_SUFFIX)
    stored = None if member is None else read_attr(database, member.study_id, PLAN)
    if member is None or stored is None:
        return None
    trials = database.get_all_trials(search.study_id, deepcopy=False)
    complete = best_first([to_record(trial) for trial in trials])
    ends = range_ends(complete, search.space)
    runs = [ended_run(trial, search.data.n_val) for trial in run_trials(database, member.study_id)]
    plan, objective = KnobsPlan.from_dict(stored), search.spec.objective
    return knobs_of(name, plan, runs, importances(trials), ends, objective)
