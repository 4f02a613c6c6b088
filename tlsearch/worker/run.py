"""Runs a worker in this process: the front door of the room."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from optuna.storages import RDBStorage

from tlsearch.artifacts import Artifacts, artifacts_place, open_artifacts
from tlsearch.errors import DatabaseAway, StorageError, described
from tlsearch.sampler import try_sampler
from tlsearch.store.causes import cause_of
from tlsearch.store.claims import Claims
from tlsearch.store.connect import open_storage
from tlsearch.store.outages import DATABASE_ERRORS, within
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study
from tlsearch.store.worker_registration import WorkerRegistration
from tlsearch.worker.context import WorkerContext, choose_device, device_name, retry_policy
from tlsearch.worker.loop import Limits, WorkerLoop, WorkerSummary
from tlsearch.worker.progress import HarmlessProgress, Progress, SilentProgress
from tlsearch.worker.signals import StopSignals
from tlsearch.worker.study_session import StudySession

_LEAVE_SECONDS = 3.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What differs from machine to machine.

    Attributes:
        device: auto, cpu, cuda or cuda:N.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
        artifacts: where checkpoints lie, if not where the environment or the spec says.
    """

    device: str = "auto"
    data_path: str | None = None
    weights: str | None = None
    artifacts: str | None = None


def run_worker(
    study_names: str | Sequence[str],
    storage: str | None = None,
    *,
    device: str = "auto",
    max_trials: int | None = None,
    timeout_seconds: float | None = None,
    data_path: str | None = None,
    weights: str | None = None,
    artifacts: str | None = None,
    progress: Progress | None = None,
) -> WorkerSummary:
    """Run trials of one or more studies in this process until their budgets are spent.

    Any number of workers may run at once, on any machines that reach the database. Of several
    studies a trial is taken from each in turn. While the last trials run elsewhere the worker
    waits, to take over one whose worker dies. The first SIGTERM or SIGINT releases the current
    trial with a checkpoint, a second one ends the process at once. A database that goes away for
    less than `workers.outage_limit_seconds` is waited for.

    Args:
        study_names: the study, or several.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        device: auto, cpu, cuda or cuda:N.
        max_trials: run at most so many.
        timeout_seconds: claim none after so long; the current one is finished.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
        artifacts: where checkpoints lie: a folder or s3://bucket/prefix; None = the environment's
            TLSEARCH_ARTIFACTS, the spec's, or a folder of this user.
        progress: told what happens.

    Raises:
        StudyError: no such study, or its network cannot be had here.
        SpecError: its sampler does not work here.
        DataError: the images are not those of the study.
        StorageError: the database cannot be reached, or stayed away; or files cannot be written.
        WorkerStopped: three trials in a row failed for the same reason.
    """
    names = [study_names] if isinstance(study_names, str) else list(dict.fromkeys(study_names))
    progress = HarmlessProgress(progress or SilentProgress())
    database = open_storage(storage)
    with errors_at_start():
        studies = [find_study(database, name) for name in names]
    options = WorkerOptions(device, data_path, weights, artifacts)
    with open_contexts(database, studies, options, progress) as contexts:
        for study in studies:
            if study.spec.sampler.name.endswith("Sampler"):
                try_sampler(study.spec.sampler, study.space)
        sessions = [StudySession(context) for context in contexts]
        limits = Limits(max_trials, timeout_seconds)
        with errors_at_work():
            return WorkerLoop(sessions, progress, contexts[0].signals, limits).run()


@contextmanager
def open_contexts(
    database: RDBStorage,
    studies: Sequence[StoredStudy],
    options: WorkerOptions,
    progress: Progress,
) -> Iterator[list[WorkerContext]]:
    """Register this process as a worker and listen to signals; yield a context a study."""
    device, signals = choose_device(options.device), StopSignals()
    slowest = max(study.spec.workers.stalled_after_seconds for study in studies)
    registration = WorkerRegistration(database.engine, str(device), device_name(device), slowest)
    with _registered(registration), signals.listening():
        yield [
            WorkerContext(
                study=study,
                database=database,
                registration=registration,
                claims=Claims(database.engine, study, registration.worker_id),
                artifacts=_artifacts(options, study),
                device=device,
                retry=retry_policy(study, signals, progress),
                signals=signals,
                progress=progress,
                data_path=options.data_path,
                weights=options.weights,
            )
            for study in studies
        ]


def _artifacts(options: WorkerOptions, study: StoredStudy) -> Artifacts:
    return open_artifacts(artifacts_place(options.artifacts, study.spec.checkpoints.folder))


@contextmanager
def _registered(registration: WorkerRegistration) -> Iterator[None]:
    """Be on the database's list of workers until the block ends."""
    with errors_at_start():
        registration.enter()
    _log.info("worker %s starts", registration.name)
    because = "its work was done"
    try:
        yield
    except BaseException as error:
        because = described(error).replace("\0", " ")[:500]
        raise
    finally:
        _log.info("worker %s leaves: %s", registration.name, because)
        with suppress(DatabaseAway, *DATABASE_ERRORS):
            within(_LEAVE_SECONDS, lambda: registration.leave(because))


@contextmanager
def errors_at_start() -> Iterator[None]:
    """Say in a sentence that the database went away before any work."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StorageError(
            f"the database was there and is gone ({cause_of(error)}): check it, and start this "
            "worker again"
        ) from error


@contextmanager
def errors_at_work() -> Iterator[None]:
    """Say in a sentence that the database stayed away, or refuses."""
    try:
        yield
    except DatabaseAway as away:
        raise StorageError(
            f"{away}: the trial under way goes on from its last checkpoint once a worker runs; "
            "check the database and start one"
        ) from away
    except DATABASE_ERRORS as error:
        raise StorageError(
            f"the database refuses ({cause_of(error)}); the trial under way goes on from its last "
            "checkpoint once a worker runs: fix that and start one"
        ) from error
