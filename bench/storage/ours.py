"""A worker as tlsearch's own, statement by statement, around a simulated training.

`tlsearch.worker` itself needs torch, 300 MB a process. This follows `StudySession.next`, `Attempt`
and `recorder.py` without checkpoints, pictures and failures; what says `as X` must be kept like it.
Optuna's side of trials, the epoch reporter with its thread and the search for duplicates are the
worker's own.
"""

import importlib
import sys
import types
import uuid
from pathlib import Path
from typing import Any

from asktell import Wait
from filled import EPOCHS, curve
from optuna.trial import TrialState
from timing import Times

import tlsearch
from tlsearch.spec import PrunerSpec, SamplerSpec
from tlsearch.store.claims import Claim, Claims, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.measures import read_prior
from tlsearch.store.outages import RetryPolicy
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study


def _without_torch() -> None:
    """Make modules of tlsearch.worker importable one by one, without what its __init__ imports."""
    if "tlsearch.worker" not in sys.modules:
        package = types.ModuleType("tlsearch.worker")
        package.__path__ = [str(Path(tlsearch.__file__).parent / "worker")]
        sys.modules["tlsearch.worker"] = package


_without_torch()
_epoch_reporter = importlib.import_module("tlsearch.worker.epoch_reporter")
_progress = importlib.import_module("tlsearch.worker.progress")
_duplicates = importlib.import_module("tlsearch.worker.duplicates")
_optuna_trials = importlib.import_module("tlsearch.worker.optuna_trials")


class Ours:
    """tlsearch's own way: claim, open, suggest, write, report by the epoch reporter, end.

    Args:
        url: of the database.
        study_name: the study.
        sampler: its `[sampler]` table.
        pruner: its `[pruner]` table.
    """

    def __init__(self, url: str, study_name: str, sampler: SamplerSpec, pruner: PrunerSpec) -> None:
        self._database = open_storage(url)
        found = find_study(self._database, study_name)
        spec = found.spec.model_copy(update={"sampler": sampler, "pruner": pruner})
        self._study = StoredStudy(**vars(found) | {"spec": spec})
        self._trials = _optuna_trials.OptunaTrials(self._database, self._study)
        self._retry = RetryPolicy(spec.workers.outage_limit_seconds)
        self._duplicates = _duplicates.Duplicates()
        self._enter()

    def trial(self, times: Times, wait: Wait, epochs: int = EPOCHS) -> None:
        """See `Worker`."""
        with times.of("ask"):
            claim = self._claim()
            workers = self._study.spec.workers
            reporter = _epoch_reporter.EpochReporter(
                self._claims,
                claim,
                workers.heartbeat_seconds,
                workers.outage_limit_seconds,
                _progress.SilentProgress(),
            )
            reporter.__enter__()
            params = self._prepare(claim)
        values = curve(params, self._trial.number)[:epochs]
        for epoch, value in enumerate(values, 1):
            wait()
            with times.of("report"):
                self._report(claim, reporter, epoch, value)
        with times.of("tell"):
            self._finish(claim, reporter, values[-1])
        times.trials += 1

    def detach(self) -> None:
        """See `Worker`."""
        self._database.engine.dispose()

    def attach(self, times: Times) -> None:
        """See `Worker`."""
        times.count(self._database.engine)
        self._enter()

    def _enter(self) -> None:
        self._registration = WorkerRegistration(self._database.engine, "cpu", "none", 60)
        self._registration.enter()
        self._claims = Claims(self._database.engine, self._study, self._registration.worker_id)

    def _claim(self) -> Claim:
        """As StudySession.next."""
        self._retry.call(self._registration.heartbeat)
        refusal = self._retry.call(self._claims.refusal)
        assert refusal is None, refusal
        if self._study.spec.sampler.name == "earned_prior":
            study_id = self._study.study_id
            prior = self._retry.call(lambda: read_prior(self._database, study_id))
            self._trials.follow_prior(prior)
        token = str(uuid.uuid4())
        claim = self._retry.call(lambda: self._claims.claim(token))
        assert isinstance(claim, Claim), claim
        return claim

    def _prepare(self, claim: Claim) -> dict[str, Any]:
        """As Attempt._train up to the training."""
        self._trial = self._trials.open(claim.trial_id)
        self._retry.call(self._trials.counts)
        drawn = self._trials.suggest(claim.trial_id)
        self._write(claim)
        canonical = drawn.canonical(self._study.space.n_body_layers)
        self._duplicates.find(self._trials.finished(), canonical)
        values: dict[str, Any] = drawn.as_dict()
        return values

    def _write(self, claim: Claim) -> None:
        """As HeldTrial.write_pending."""
        pending = self._trials.take_pending(claim.trial_id)
        params = pending.params_as_json()
        self._retry.call(
            lambda: self._claims.write(claim, params, pending.user_attrs, pending.system_attrs)
        )

    def _report(self, claim: Claim, reporter: Any, epoch: int, value: float) -> None:
        """As TrainingCallbacks.on_epoch."""
        reporter.raise_if_lost()
        assert not reporter.should_stop(), reporter.refusal
        self._trial.curve[epoch] = value
        reporter.report(epoch, value)
        self._trials.should_prune(claim.trial_id)
        if self._trials.has_pending(claim.trial_id):
            self._write(claim)

    def _finish(self, claim: Claim, reporter: Any, value: float) -> None:
        """As recorder._complete and TrialRunner.run."""
        self._trials.ended(claim.trial_id, TrialState.COMPLETE, value)
        pending = self._trials.take_pending(claim.trial_id)
        has_model = self._is_among_best(value)
        reporter.close()
        reporter.raise_if_lost()
        curve_left = reporter.undelivered()[0]
        self._retry.call(
            lambda: self._claims.complete(
                claim,
                value,
                curve_left,
                has_model=has_model,
                user_attrs=pending.user_attrs | {"seconds": 0.0},
                system_attrs=pending.system_attrs,
            )
        )
        if has_model:
            keep = self._study.spec.checkpoints.keep_best
            self._retry.call(lambda: self._claims.surplus_models(keep))
        self._retry.call(lambda: self._trials.record(claim.trial_id))
        self._trials.close(claim.trial_id)

    def _is_among_best(self, value: float) -> bool:
        """As recorder._is_among_best."""
        complete = [t for t in self._trials.finished() if t.state is TrialState.COMPLETE]
        better = sum(t.value is not None and t.value >= value for t in complete)
        return bool(better < self._study.spec.checkpoints.keep_best)
