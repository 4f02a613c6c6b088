"""Measures a study in this process."""

import time

from tlsearch.errors import StudyError
from tlsearch.records import Measures
from tlsearch.store.connect import open_storage
from tlsearch.store.measures import read_measures
from tlsearch.store.studies import find_study
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.loop import poll_seconds
from tlsearch.worker.progress import HarmlessProgress, Progress, SilentProgress
from tlsearch.worker.run import WorkerOptions, errors_at_start, errors_at_work, open_contexts
from tlsearch.worker.study_session import StudySession


def measure_study(
    study_name: str,
    storage: str | None = None,
    *,
    device: str = "auto",
    data_path: str | None = None,
    weights: str | None = None,
    artifacts: str | None = None,
    progress: Progress | None = None,
) -> Measures:
    """Take a study's measures in this process, unless they are taken; wait for what is under way.

    Training from random weights, the costly part, is a trial of the study `NAME/measures`: an
    interrupt returns it to the queue, and a dead process loses nothing but the time.

    Args:
        study_name: the study.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        device: auto, cpu, cuda or cuda:N.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
        artifacts: where checkpoints lie, as for `run_worker`.
        progress: told what happens.

    Raises:
        StudyError: no such study, its network cannot be had here, or its spec has measures off.
        DataError: the images are not those of the study, or cannot be measured.
        StorageError: the database cannot be reached.
    """
    progress = HarmlessProgress(progress or SilentProgress())
    database = open_storage(storage)
    with errors_at_start():
        study = find_study(database, study_name)
    if study.spec.measures.when == "off":
        raise StudyError(
            f'study {study_name!r}: its spec says measures.when = "off"; create a study with '
            '"worker" or "create" to have it measured'
        )
    found = read_measures(database, study.study_id)
    if found is not None:
        return found
    options = WorkerOptions(device, data_path, weights, artifacts)
    with (
        open_contexts(database, [study], options, progress) as (context,),
        errors_at_work(),
    ):
        _measure(context)
    measures = read_measures(database, study.study_id)
    assert measures is not None
    return measures


def _measure(context: WorkerContext) -> None:
    measuring = StudySession(context).measuring
    assert measuring is not None, "measures are not off"
    while not measuring.over():
        if not measuring.step():
            context.progress.preparing(
                "waiting for training from random weights, under way elsewhere"
            )
            time.sleep(poll_seconds(context.study))
