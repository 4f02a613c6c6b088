"""Workers by Optuna's own interface: ask, suggest, report, tell."""

from collections.abc import Callable
from typing import Protocol

import optuna
import sqlalchemy as sa
from filled import EPOCHS, SPACE, STUDY, curve
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from timing import Times

from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.store.connect import open_storage

Wait = Callable[[], None]


class Worker(Protocol):
    """Runs trials of the study in one process."""

    def trial(self, times: Times, wait: Wait, epochs: int = EPOCHS) -> None:
        """Run a trial; `wait` is the training of one epoch. The pruner only decides."""

    def detach(self) -> None:
        """Close all connections, before this process is forked."""

    def attach(self, times: Times) -> None:
        """Connect in a forked process, and count statements from now on."""


class AskTell:
    """Optuna's interface on a storage.

    Args:
        storage: where the study is; a URL as Optuna takes it, or a storage.
        sampler: of the study.
        pruner: of the study.
    """

    def __init__(self, storage: str | BaseStorage, sampler: BaseSampler, pruner: BasePruner):
        self._study = optuna.load_study(
            study_name=STUDY, storage=storage, sampler=sampler, pruner=pruner
        )
        self._engine: sa.Engine = self._study._storage._backend.engine  # type: ignore[attr-defined]

    def trial(self, times: Times, wait: Wait, epochs: int = EPOCHS) -> None:
        """See `Worker`."""
        with times.of("ask"):
            trial = self._study.ask()
            params = SPACE.suggest(trial).as_dict()
        values = curve(params, trial.number)[:epochs]
        for epoch, value in enumerate(values, 1):
            wait()
            with times.of("report"):
                trial.report(value, epoch)
                trial.should_prune()
        with times.of("tell"):
            self._study.tell(trial, values[-1])
        times.trials += 1

    def detach(self) -> None:
        """See `Worker`."""
        self._engine.dispose()

    def attach(self, times: Times) -> None:
        """See `Worker`."""
        self._study.sampler.reseed_rng()
        times.count(self._engine)
        with self._engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))


def plain(url: str, sampler: BaseSampler, pruner: BasePruner) -> AskTell:
    """Return a worker on Optuna's own storage, as `optuna.load_study(storage=URL)` makes it."""
    return AskTell(url.replace("postgresql:", "postgresql+psycopg2:"), sampler, pruner)


def batched(url: str, sampler: BaseSampler, pruner: BasePruner) -> AskTell:
    """Return a worker on our storage under the same interface."""
    return AskTell(BatchedStorage(open_storage(url)), sampler, pruner)
