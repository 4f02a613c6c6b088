"""A worker as tlsearch's own, statement by statement, around a simulated training.

`tlsearch.worker` itself needs torch, 300 MB a process. This follows `StudySession.next`
and `worker/attempt.py` (`Attempt`) without checkpoints, pictures and faults; what says
`as Attempt.x` must be kept like it. The epoch reporter with its thread and the search for
duplicates are the worker's own.
"""

import importlib
import sys
import types
import uuid
from pathlib import Path
from typing import Any

import optuna
from asktell import Wait
from filled import EPOCHS, curve
from optuna.trial import FrozenTrial, TrialState
from timing import Times

import tlsearch
from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.sampler import build_pruner, build_sampler, origin_of
from tlsearch.spec import PrunerSpec, SamplerSpec
from tlsearch.store.claims import Claim, Claims, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.measures import read_prior
from tlsearch.store.outages import Patience
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study, load_optuna_study
from tlsearch.store.trials import to_record, trial_counts


def _without_torch() -> None:
    """Make modules of tlsearch.worker importable one by one, without what its __init__ imports."""
    if "tlsearch.worker" not in sys.modules:
        package = types.ModuleType("tlsearch.worker")
        package.__path__ = [str(Path(tlsearch.__file__).parent / "worker")]
        sys.modules["tlsearch.worker"] = package


_without_torch()
_epoch_reporter = importlib.import_module("tlsearch.worker.epoch_reporter")
_progress = importlib.import_module("tlsearch.worker.progress")
_prior = importlib.import_module("tlsearch.prior")
_duplicates = importlib.import_module("tlsearch.worker.duplicates")


class Ours:
    """tlsearch's own way: claim, adopt, suggest, write, report by the epoch reporter, end.

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
        self._space = found.space
        self._storage = BatchedStorage(self._database)
        self._optuna_study = load_optuna_study(
            self._storage,
            study_name,
            build_sampler(sampler),
            build_pruner(pruner, spec.recipe.epochs),
        )
        self._patience = Patience(spec.workers.outage_limit_seconds)
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
        values = curve(params, self._frozen.number)[:epochs]
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
        self._session = WorkerRegistration(self._database.engine, "cpu", "none", 60)
        self._session.enter()
        self._claims = Claims(self._database.engine, self._study, self._session.worker_id)

    def _claim(self) -> Claim:
        """As StudySession.next."""
        self._patience.call(self._session.heartbeat)
        refusal = self._patience.call(self._claims.refusal)
        assert refusal is None, refusal
        self._follow_prior()
        token = str(uuid.uuid4())
        claim = self._patience.call(lambda: self._claims.claim(token))
        assert isinstance(claim, Claim), claim
        return claim

    def _follow_prior(self) -> None:
        """As TrialRunner.follow_prior."""
        if self._study.spec.sampler.name != "earned_prior":
            return
        stored = self._patience.call(lambda: read_prior(self._database, self._study.study_id))
        priors = _prior.normal_priors(stored) if stored else None
        self._optuna_study.sampler = build_sampler(self._study.spec.sampler, priors)

    def _prepare(self, claim: Claim) -> dict[str, Any]:
        """As Attempt._attempt up to the training."""
        trial = self._open(claim)
        self._patience.call(lambda: trial_counts(self._database, self._study.study_id))
        finished = self._storage.history(self._study.study_id).finished()
        n_finished = sum(each.state is not TrialState.FAIL for each in finished)
        drawn = self._space.suggest(trial)
        frozen = self._storage.get_trial(claim.trial_id)
        trial.set_user_attr("origin", origin_of(frozen, self._study.spec.sampler, n_finished))
        canonical = drawn.canonical(self._space.n_body_layers)
        trial.set_user_attr("canonical", canonical.as_dict())
        trial.set_user_attr("low_lr", drawn.low_lr)
        self._write(claim)
        self._duplicates.find(self._storage.history(self._study.study_id), canonical)
        return drawn.as_dict()

    def _open(self, claim: Claim) -> optuna.Trial:
        """As Attempt._open."""
        self._storage.release(claim.trial_id)
        self._frozen: FrozenTrial = self._storage.adopt(self._study.study_id, claim.trial_id)
        self._optuna_study._thread_local.cached_all_trials = None
        return optuna.Trial(self._optuna_study, claim.trial_id)

    def _write(self, claim: Claim) -> None:
        """As Attempt._write."""
        held = self._storage.take(claim.trial_id)
        params = held.params_as_json()
        self._patience.call(
            lambda: self._claims.write(claim, params, held.user_attrs, held.system_attrs)
        )

    def _report(self, claim: Claim, reporter: Any, epoch: int, value: float) -> None:
        """As Attempt._on_epoch."""
        reporter.raise_if_lost()
        assert not reporter.should_stop(), reporter.refusal
        self._frozen.intermediate_values[epoch] = value
        reporter.report(epoch, value)
        self._optuna_study.pruner.prune(self._optuna_study, self._frozen)
        if self._storage.holds(claim.trial_id):
            self._write(claim)

    def _finish(self, claim: Claim, reporter: Any, value: float) -> None:
        """As Attempt._finish and Setting.record."""
        study = self._optuna_study
        frozen = self._storage.get_trial(claim.trial_id)
        study.sampler.after_trial(study, frozen, TrialState.COMPLETE, [value])
        held = self._storage.take(claim.trial_id)
        has_model = self._is_among_best(value)
        attrs = held.user_attrs | {"seconds": 0.0}
        reporter.close()
        reporter.raise_if_lost()
        curve_left = reporter.undelivered()[0]
        self._patience.call(
            lambda: self._claims.complete(
                claim,
                value,
                curve_left,
                has_model=has_model,
                user_attrs=attrs,
                system_attrs=held.system_attrs,
            )
        )
        if has_model:
            keep = self._study.spec.checkpoints.keep_best
            self._patience.call(lambda: self._claims.surplus_models(keep))
        to_record(self._patience.call(lambda: self._database.get_trial(claim.trial_id)))
        self._storage.release(claim.trial_id)

    def _is_among_best(self, value: float) -> bool:
        history = self._storage.history(self._study.study_id)
        complete = [t for t in history.finished() if t.state is TrialState.COMPLETE]
        better = sum(t.value is not None and t.value >= value for t in complete)
        return better < self._study.spec.checkpoints.keep_best
