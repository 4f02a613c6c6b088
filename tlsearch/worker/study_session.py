"""A worker at work on one study: data and network are loaded when the first trial is claimed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from optuna.storages import RDBStorage

from tlsearch.artifacts import Artifacts
from tlsearch.errors import StudyError
from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.records import TrialRecord
from tlsearch.sampler import build_pruner, build_sampler
from tlsearch.store.claims import Claim, Claims, Refusal, WorkerRegistration
from tlsearch.store.outages import DATABASE_ERRORS, Patience
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import load_optuna_study
from tlsearch.worker.checkpoints import remove_left_over
from tlsearch.worker.measuring import Measuring
from tlsearch.worker.progress import Progress
from tlsearch.worker.signals import Shutdown
from tlsearch.worker.trial_runner import TrialRunner
from tlsearch.worker.workplace import Workplace, open_workplace


@dataclass(frozen=True)
class Place:
    """What all studies of a worker share.

    Attributes:
        database: Optuna's storage.
        session: the worker, as the database lists it.
        device: where to train.
        shutdown: whether the worker was asked to end.
        progress: told what happens.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
    """

    database: RDBStorage
    session: WorkerRegistration
    device: torch.device
    shutdown: Shutdown
    progress: Progress
    data_path: str | None = None
    weights: str | None = None


class StudySession:
    """Takes trials of one study, and sees to it that the study is measured."""

    def __init__(self, study: StoredStudy, place: Place, artifacts: Artifacts) -> None:
        self.study = study
        self._place = place
        self._artifacts = artifacts
        self._claims = Claims(place.database.engine, study, place.session.worker_id)
        self._runner: TrialRunner | None = None
        self._measuring: Measuring | None = None
        self._patience = Patience(
            study.spec.workers.outage_limit_seconds,
            place.shutdown.requested,
            lambda _, why: place.progress.preparing(f"waiting for the database ({why})"),
        )

    @property
    def runner(self) -> TrialRunner:
        """What runs trials; loads data and network."""
        if self._runner is None:
            self._runner = self._runner_of(self.study, self._open_workplace())
        return self._runner

    @property
    def measuring(self) -> Measuring | None:
        """What measures the study, unless its spec says no; loads data and network."""
        if self._measuring is None and self.study.spec.measures.when != "off":
            self._measuring = Measuring(self._place.database, self.runner, self._runner_of)
        return self._measuring

    def next(self) -> Claim | Refusal | None:
        """Do what comes next.

        Returns:
            A trial to run, why there is none, or None where a step of measuring was done instead.

        Raises:
            StudyError: the study was deleted.
        """
        self._patience.call(self._place.session.heartbeat)
        refusal = self._patience.call(self._claims.refusal)
        if refusal is not None and self._runner is None and refusal.verdict != "wait":
            return refusal  # nothing to load anything for
        measuring = self.measuring
        if refusal is not None and refusal.verdict != "wait":
            return refusal
        if measuring is not None and self._patience.call(measuring.step_or_give_up):
            return None
        self.runner.follow_prior()
        kept = self._patience.call(self._kept)
        try:
            return self.runner.claim(kept)
        except StudyError:
            self.clean_up()
            raise

    def run(self, claim: Claim, tell: Callable[[TrialRecord | None], None]) -> TrialRecord | None:
        """Run a trial; see `TrialRunner.run`."""
        return self.runner.run(claim, tell)

    def clean_up(self) -> None:
        """Remove files that dead workers left, once the study is over or deleted."""
        with suppress(*DATABASE_ERRORS):
            keep_best = self.study.spec.checkpoints.keep_best
            remove_left_over(self._artifacts, self._claims, keep_best)

    def _kept(self) -> int:
        """Return how many trials of the budget the prior will queue once the study is measured."""
        if self._measuring is None or self._measuring.given_up():
            return 0
        prior = self.study.spec.prior
        return prior.draws + 2 if prior.use else 0

    def _open_workplace(self) -> Workplace:
        place = self._place
        return open_workplace(
            self.study,
            place.device,
            place.session.name,
            place.progress,
            place.data_path,
            place.weights,
        )

    def _runner_of(
        self, study: StoredStudy, workplace: Workplace, progress: Progress | None = None
    ) -> TrialRunner:
        place = self._place
        storage = BatchedStorage(place.database)
        try:
            optuna_study = self._patience.call(
                lambda: load_optuna_study(
                    storage,
                    study.name,
                    build_sampler(study.spec.sampler),
                    build_pruner(study.spec.pruner, study.spec.recipe.epochs),
                )
            )
        except KeyError:
            raise StudyError(f"study {study.name!r} was deleted") from None
        return TrialRunner(
            place.database,
            storage,
            study,
            optuna_study,
            Claims(place.database.engine, study, place.session.worker_id),
            workplace,
            self._artifacts,
            self._patience,
            place.shutdown,
            progress or place.progress,
        )
