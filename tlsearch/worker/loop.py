"""The worker: claims trials of a study and runs them until the budget is spent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
import torch
from sqlalchemy.exc import SQLAlchemyError

from tlsearch.errors import StorageError, StudyError, WorkerStopped
from tlsearch.records import Measures, TrialRecord
from tlsearch.sampler import build_pruner, build_sampler, try_sampler
from tlsearch.space import SearchSpace
from tlsearch.store.connect import open_storage
from tlsearch.store.measured import read_measures
from tlsearch.store.studies import StoredStudy, find_study, load_optuna_study
from tlsearch.worker.claim import Claim, ClaimDesk, Unclaimed
from tlsearch.worker.measuring import Measuring
from tlsearch.worker.progress import Progress, SilentProgress
from tlsearch.worker.trial import TrialRunner, failure_kind
from tlsearch.worker.workplace import choose_device, open_workplace

_SAME_FAILURES = 3


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """What a worker did.

    Attributes:
        trials: the trials it ended, in order.
        budget_spent: whether the study is done; otherwise the worker reached its own limit.
    """

    trials: tuple[TrialRecord, ...]
    budget_spent: bool


def run_worker(
    study_name: str,
    storage: str | None = None,
    *,
    device: str = "auto",
    max_trials: int | None = None,
    timeout_seconds: float | None = None,
    data_path: str | None = None,
    weights: str | None = None,
    progress: Progress | None = None,
) -> WorkerSummary:
    """Run trials of a study in this process until its budget is spent.

    Any number of workers may run at once, on any machines that reach the database. While the last
    trials run elsewhere the worker waits, to take over one whose worker dies. An interrupt
    (KeyboardInterrupt, SystemExit) returns the current trial to the queue.

    Args:
        study_name: the study.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        device: auto, cpu, cuda or cuda:N.
        max_trials: claim at most so many.
        timeout_seconds: claim none after so long; the current one is finished.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
        progress: told what happens.

    Raises:
        StudyError: no such study, or its network cannot be had here.
        SpecError: its sampler does not work here.
        DataError: the images are not those of the study.
        StorageError: the database cannot be reached.
        WorkerStopped: three trials in a row failed for the same reason.
    """
    progress = progress or SilentProgress()
    database = open_storage(storage)
    study = find_study(database, study_name)
    optuna_study = load_optuna_study(
        database,
        study_name,
        build_sampler(study.spec.sampler),
        build_pruner(study.spec.pruner, study.spec.recipe.epochs),
    )
    desk = ClaimDesk(database, study, optuna_study)
    limits = _Limits(max_trials, timeout_seconds)
    if desk.is_done():
        return WorkerSummary((), budget_spent=True)
    if study.spec.sampler.name.endswith("Sampler"):
        try_sampler(study.spec.sampler, SearchSpace.from_dict(study.space))
    workplace = open_workplace(study, choose_device(device), progress, data_path, weights)
    runner = TrialRunner(database, study, optuna_study, desk, workplace, progress)
    measuring = None
    if study.spec.measures.when != "off":
        measuring = Measuring(database, study, workplace, progress)
    with _database_errors(study_name):
        return _Loop(desk, runner, measuring, progress, limits).run(workplace.name)


def measure_study(
    study_name: str,
    storage: str | None = None,
    *,
    device: str = "auto",
    data_path: str | None = None,
    weights: str | None = None,
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
        progress: told what happens.

    Raises:
        StudyError: no such study, its network cannot be had here, or its spec has measures off.
        DataError: the images are not those of the study, or cannot be measured.
        StorageError: the database cannot be reached.
    """
    progress = progress or SilentProgress()
    database = open_storage(storage)
    study = find_study(database, study_name)
    if study.spec.measures.when == "off":
        raise StudyError(
            f'study {study_name!r}: its spec says measures.when = "off"; create a study with '
            '"worker" or "create" to have it measured'
        )
    found = read_measures(database, study.study_id)
    if found is not None:
        return found
    workplace = open_workplace(study, choose_device(device), progress, data_path, weights)
    measuring = Measuring(database, study, workplace, progress)
    with _database_errors(study_name), _memory_errors(study_name):
        while not measuring.over():
            if not measuring.step():
                progress.preparing("waiting for training from random weights, under way elsewhere")
                time.sleep(_poll_seconds(study))
    measures = read_measures(database, study.study_id)
    assert measures is not None
    return measures


@contextmanager
def _database_errors(study_name: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StorageError(
            f"the database went away while study {study_name!r} ran ({_cause(error)}); the current "
            "trial is run again by the next worker: check the database and start one"
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
        self,
        desk: ClaimDesk,
        runner: TrialRunner,
        measuring: Measuring | None,
        progress: Progress,
        limits: _Limits,
    ) -> None:
        self._desk = desk
        self._runner = runner
        self._measuring = measuring
        self._progress = progress
        self._limits = limits
        self._ended: list[TrialRecord] = []

    def run(self, worker: str) -> WorkerSummary:
        """Run trials until the budget or a limit is reached."""
        poll_seconds = _poll_seconds(self._runner.study)
        while not self._limits.reached(len(self._ended)):
            if self._measuring is not None and self._measuring.step_or_give_up():
                continue
            self._runner.follow_prior()
            kept = self._kept()
            claim = self._desk.claim(worker, kept)
            if claim is Unclaimed.DONE:
                return WorkerSummary(tuple(self._ended), budget_spent=True)
            if isinstance(claim, Unclaimed) and kept:
                self._progress.preparing("waiting for the measures, which are taken elsewhere")
                time.sleep(poll_seconds)
                continue
            if isinstance(claim, Unclaimed):
                self._progress.waiting(self._desk.counts()["running"])
                time.sleep(poll_seconds)
                continue
            self._run(claim)
        return WorkerSummary(tuple(self._ended), budget_spent=False)

    def _kept(self) -> int:
        """Return how many trials of the budget the prior will queue once the study is measured."""
        if self._measuring is None or self._measuring.given_up():
            return 0
        prior = self._runner.study.spec.prior
        return prior.draws + 2 if prior.use else 0

    def _run(self, claim: Claim) -> None:
        self._progress.claimed(claim.trial.number, claim.attempt, self._desk.counts())
        trial = self._runner.see_through(claim)
        if trial is None:
            return
        self._ended.append(trial)
        self._progress.ended(trial)
        self._stop_if_failing()

    def _stop_if_failing(self) -> None:
        kinds = [failure_kind(trial) for trial in self._ended[-_SAME_FAILURES:]]
        if len(kinds) == _SAME_FAILURES and kinds[0] is not None and len(set(kinds)) == 1:
            raise WorkerStopped(
                f"{_SAME_FAILURES} trials in a row failed for the same reason, so this worker "
                f"stops: {self._ended[-1].reason}"
            )


def _cause(error: Exception) -> str:
    cause = error.__cause__ or error
    return (str(getattr(cause, "orig", cause)).strip().splitlines() or ["no reason given"])[0]
