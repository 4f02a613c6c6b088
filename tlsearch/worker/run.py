"""The worker: claims trials of one or more studies and runs them until the budgets are spent."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from optuna.storages import RDBStorage

from tlsearch.artifacts import Artifacts, artifacts_place, open_artifacts
from tlsearch.errors import DatabaseAway, StorageError, StudyError, WorkerStopped
from tlsearch.records import Measures, TrialRecord, reason_line
from tlsearch.sampler import try_sampler
from tlsearch.store.claims import Claim, Refusal, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.measures import read_measures
from tlsearch.store.outages import DATABASE_ERRORS, cause_of, within
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study
from tlsearch.worker.measuring import Measuring
from tlsearch.worker.progress import Progress, SilentProgress
from tlsearch.worker.signals import Shutdown
from tlsearch.worker.study_session import Place, StudySession
from tlsearch.worker.workplace import choose_device, device_name

_SAME_FAILURES = 3
_LEAVE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """What a worker did.

    Attributes:
        trials: the trials it ended, in order.
        studies: the name of each one's study.
        budget_spent: whether the studies are done; otherwise the worker reached its own limit.
        why: a clause on why it left.
    """

    trials: tuple[TrialRecord, ...]
    studies: tuple[str, ...]
    budget_spent: bool
    why: str


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
    waits, to take over one whose worker dies. The first SIGTERM or SIGINT hands the current trial
    back with a checkpoint, a second one ends the process at once. A database that goes away for
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
    progress = progress or SilentProgress()
    database = open_storage(storage)
    with _start_errors():
        studies = [find_study(database, name) for name in names]
    shutdown = Shutdown()
    with _session(database, studies, device) as session, shutdown.listening():
        place = Place(
            database, session, choose_device(device), shutdown, progress, data_path, weights
        )
        posts = [StudySession(study, place, _artifacts(artifacts, study)) for study in studies]
        for study in studies:
            if study.spec.sampler.name.endswith("Sampler"):
                try_sampler(study.spec.sampler, study.space)
        with _database_errors():
            return _Loop(posts, progress, shutdown, _Limits(max_trials, timeout_seconds)).run()


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
    progress = progress or SilentProgress()
    database = open_storage(storage)
    with _start_errors():
        study = find_study(database, study_name)
    if study.spec.measures.when == "off":
        raise StudyError(
            f'study {study_name!r}: its spec says measures.when = "off"; create a study with '
            '"worker" or "create" to have it measured'
        )
    found = read_measures(database, study.study_id)
    if found is not None:
        return found
    shutdown = Shutdown()
    with _session(database, [study], device) as session, shutdown.listening():
        place = Place(
            database, session, choose_device(device), shutdown, progress, data_path, weights
        )
        measuring = StudySession(study, place, _artifacts(artifacts, study)).measuring
        with _database_errors(), _memory_errors(study_name):
            _wait_for(measuring, study, progress)
    measures = read_measures(database, study.study_id)
    assert measures is not None
    return measures


def _wait_for(measuring: Measuring | None, study: StoredStudy, progress: Progress) -> None:
    assert measuring is not None, "measures are not off"
    while not measuring.over():
        if not measuring.step():
            progress.preparing("waiting for training from random weights, under way elsewhere")
            time.sleep(_poll_seconds(study))


@contextmanager
def _session(
    database: RDBStorage, studies: Sequence[StoredStudy], device: str
) -> Iterator[WorkerRegistration]:
    """Be on the database's list of workers until the block ends."""
    chosen = choose_device(device)
    slowest = max(study.spec.workers.stalled_after_seconds for study in studies)
    session = WorkerRegistration(database.engine, str(chosen), device_name(chosen), slowest)
    with _start_errors():
        session.enter()
    because = "its work was done"
    try:
        yield session
    except BaseException as error:
        because = f"{type(error).__name__}: {error}".splitlines()[0].replace("\0", " ")[:500]
        raise
    finally:
        with suppress(DatabaseAway, *DATABASE_ERRORS):
            within(_LEAVE_SECONDS, lambda: session.leave(because))


def _artifacts(given: str | None, study: StoredStudy) -> Artifacts:
    return open_artifacts(artifacts_place(given, study.spec.checkpoints.folder))


@contextmanager
def _start_errors() -> Iterator[None]:
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StorageError(
            f"the database was there and is gone ({cause_of(error)}): check it, and start this "
            "worker again"
        ) from error


@contextmanager
def _database_errors() -> Iterator[None]:
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
            "checkpoint once a worker runs: mend that and start one"
        ) from error


@contextmanager
def _memory_errors(study_name: str) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise StudyError(
            f"study {study_name!r}: the device has too little memory to measure it; lower "
            "recipe.image_size, or measure on another device"
        ) from error


def _poll_seconds(study: StoredStudy) -> float:
    return min(2.0, study.spec.workers.heartbeat_seconds)


def _end_of(study_name: str, refusal: Refusal) -> str:
    if refusal.verdict == "stopped":
        return f"study {study_name!r} was stopped"
    return f"study {study_name!r} is done: {refusal.why}"


class _Limits:
    """A worker's own limits, beside the study's budget."""

    def __init__(self, max_trials: int | None, timeout_seconds: float | None) -> None:
        self._max_trials = max_trials
        self._deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds

    def reached(self, n_ended: int) -> bool:
        """Whether to claim no more."""
        if self._max_trials is not None and n_ended >= self._max_trials:
            return True
        return self._deadline is not None and time.monotonic() >= self._deadline


class _Loop:
    """Claim, run, record, repeat."""

    def __init__(
        self, posts: Sequence[StudySession], progress: Progress, shutdown: Shutdown, limits: _Limits
    ) -> None:
        self._posts = list(posts)
        self._progress = progress
        self._shutdown = shutdown
        self._limits = limits
        self._ended: list[tuple[str, TrialRecord]] = []  # with the name of its study
        self._failures: list[tuple[str, int]] = []  # in a row: what kind, and of which trial
        self._why: list[str] = []

    def run(self) -> WorkerSummary:
        """Run trials until the budgets or a limit are reached."""
        while self._posts:
            if self._limits.reached(len(self._ended)):
                return self._summary(False, "this worker's limit is reached")
            if not self._turn() and self._posts:
                self._shutdown.requested.wait(min(map(_poll_seconds, self._studies())))
        return self._summary(True, "; ".join(self._why))

    def _summary(self, budget_spent: bool, why: str) -> WorkerSummary:
        trials = tuple(trial for _, trial in self._ended)
        return WorkerSummary(trials, tuple(name for name, _ in self._ended), budget_spent, why)

    def _turn(self) -> bool:
        """Give every study a turn, until one had something to do; return whether one had."""
        refusals = []
        for post in list(self._posts):
            self._progress.at_study(post.study.name)
            outcome = post.next()
            if isinstance(outcome, Refusal):
                refusals.append((post, outcome))
                if outcome.over:
                    post.clean_up()
                    self._posts.remove(post)
                    self._why.append(_end_of(post.study.name, outcome))
                continue
            self._posts.remove(post)  # the others first, next time
            self._posts.append(post)
            if isinstance(outcome, Claim):
                self._run(post, outcome)
            return True
        waiting = [(post, refusal) for post, refusal in refusals if not refusal.over]
        if waiting:
            post, refusal = waiting[0]
            self._progress.at_study(post.study.name)
            self._progress.preparing(refusal.why)
        return False

    def _run(self, post: StudySession, claim: Claim) -> None:
        trial = post.run(claim, lambda ended: self._tell(post, ended))
        if trial is not None:
            self._stop_if_failing(claim, trial)

    def _tell(self, post: StudySession, trial: TrialRecord | None) -> None:
        if trial is not None and trial.state in ("complete", "pruned", "fail"):
            self._ended.append((post.study.name, trial))
            self._progress.ended(trial)

    def _stop_if_failing(self, claim: Claim, trial: TrialRecord) -> None:
        """Raise where trials fail here; one that fails again and again is that trial's matter."""
        kind = trial.reason_kind
        if kind is None or (self._failures and self._failures[-1][0] != kind):
            self._failures = []
        if kind is not None:
            self._failures.append((kind, claim.trial_id))
        if len(set(self._failures)) == _SAME_FAILURES:
            raise WorkerStopped(
                f"{_SAME_FAILURES} trials in a row failed for the same reason, so this worker "
                f"stops: {reason_line(kind, trial.reason)}"
            )

    def _studies(self) -> list[StoredStudy]:
        return [post.study for post in self._posts]
