"""Runs one claimed trial from its hyperparameters to its recorded end."""

import traceback
from dataclasses import dataclass

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from tlsearch.errors import TlsearchError, TrialFailure, TrialLost
from tlsearch.finetune import fine_tune
from tlsearch.prior import Prior
from tlsearch.records import Decision, EpochReport, FineTuneResult, Hyperparameters, TrialRecord
from tlsearch.sampler import build_sampler, origin_of
from tlsearch.store.measured import read_prior
from tlsearch.store.studies import StoredStudy
from tlsearch.store.trials import to_record
from tlsearch.worker.claim import Claim, ClaimDesk
from tlsearch.worker.heartbeat import Heartbeat, heartbeat
from tlsearch.worker.progress import Progress
from tlsearch.worker.seeding import normal_priors
from tlsearch.worker.workplace import Workplace

_DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials of one study at one workplace."""

    storage: RDBStorage
    study: StoredStudy
    optuna_study: optuna.Study
    desk: ClaimDesk
    workplace: Workplace
    progress: Progress

    def run(self, claim: Claim) -> TrialRecord:
        """Run a trial and record how it ended: complete, pruned, or failed with its reason.

        Raises:
            TrialLost: another worker has it; nothing was recorded.
        """
        interval = self.study.spec.workers.heartbeat_seconds
        with heartbeat(self.desk, claim, interval) as beat:
            try:
                self._run(claim, beat)
            except TrialFailure as failure:
                self._fail(claim, f"{failure.reason}: {failure}")
            except (TlsearchError, *_DATABASE_ERRORS):
                raise
            except Exception as error:
                self._fail(claim, _reason(error), traceback=traceback.format_exc()[-4000:])
        return to_record(self.storage.get_trial(claim.trial_id))

    def follow_prior(self) -> None:
        """Let the sampler draw from the prior as the database holds it now."""
        if self.study.spec.sampler.name != "earned_prior":
            return
        stored = read_prior(self.storage, self.study.study_id)
        beliefs = normal_priors(Prior.from_dict(stored)) if stored else None
        self.optuna_study.sampler = build_sampler(self.study.spec.sampler, beliefs)

    def see_through(self, claim: Claim) -> TrialRecord | None:
        """Run a trial; an interrupt returns it to the queue first.

        Returns:
            How it ended; None where another worker took it over.
        """
        try:
            return self.run(claim)
        except TrialLost:
            return None
        except (KeyboardInterrupt, SystemExit):
            self.desk.give_back(claim)
            raise

    def _run(self, claim: Claim, beat: Heartbeat) -> None:
        hyperparameters = self._suggest(claim)
        canonical = hyperparameters.canonical(self.workplace.space.n_body_layers)
        claim.trial.set_user_attr("canonical", canonical.as_dict())
        claim.trial.set_user_attr("low_lr", hyperparameters.low_lr)
        twin = self._twin(canonical)
        if twin is not None:
            self._copy(claim, twin)
            return
        result = self._fine_tune(claim, hyperparameters, beat)
        ending = TrialState.PRUNED if result.stopped else TrialState.COMPLETE
        value = None if result.stopped else result.val_accuracy
        self.desk.end(claim, ending, value, {"seconds": round(result.seconds, 3)})

    def _suggest(self, claim: Claim) -> Hyperparameters:
        """Return the trial's hyperparameters, and note where they came from."""
        if "origin" in claim.trial.user_attrs:
            return self.workplace.space.suggest(claim.trial)
        counts = self.desk.counts()
        hyperparameters = self.workplace.space.suggest(claim.trial)
        trial = self.storage.get_trial(claim.trial_id)
        n_finished = counts["complete"] + counts["pruned"]
        claim.trial.set_user_attr("origin", origin_of(trial, self.study.spec.sampler, n_finished))
        return hyperparameters

    def _fine_tune(
        self, claim: Claim, hyperparameters: Hyperparameters, beat: Heartbeat
    ) -> FineTuneResult:
        # What was queued on purpose is there to be compared with, so it runs to its end.
        may_prune = "fixed_params" not in self.storage.get_trial_system_attrs(claim.trial_id)

        def on_epoch(report: EpochReport) -> Decision:
            if beat.lost.is_set():
                raise TrialLost(f"trial {claim.trial.number} was taken over by another worker")
            self.desk.report(claim, report.epoch, report.val_accuracy)
            self.progress.epoch(claim.trial.number, report)
            # Epochs that an earlier attempt reported were judged then.
            judged = report.epoch <= claim.reported_epochs
            prune = may_prune and not judged and claim.trial.should_prune()
            return Decision.STOP if prune else Decision.CONTINUE

        place = self.workplace
        return fine_tune(
            place.backbone,
            place.data,
            self.study.spec.recipe,
            hyperparameters,
            place.device,
            on_epoch,
        )

    def _twin(self, canonical: Hyperparameters) -> optuna.trial.FrozenTrial | None:
        """Return an earlier complete trial that trained the same model."""
        wanted = canonical.as_dict()
        for trial in self.optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if trial.user_attrs.get("canonical") == wanted:
                return trial
        return None

    def _copy(self, claim: Claim, twin: optuna.trial.FrozenTrial) -> None:
        """Take over the curve and the result of a twin: training is the same to the last digit."""
        for epoch, val_accuracy in sorted(twin.intermediate_values.items()):
            self.desk.report(claim, epoch, val_accuracy)
        original = twin.user_attrs.get("duplicate_of", twin.number)
        attrs: dict[str, object] = {"duplicate_of": original, "seconds": 0.0}
        self.desk.end(claim, TrialState.COMPLETE, twin.value, attrs)

    def _fail(self, claim: Claim, reason: str, **attrs: object) -> None:
        self.desk.end(claim, TrialState.FAIL, None, {"reason": reason, **attrs})


def _reason(error: Exception) -> str:
    first_line = (str(error).splitlines() or [""])[0]
    return f"error: {type(error).__name__}: {first_line}"


def failure_kind(trial: TrialRecord) -> str | None:
    """Return what kind of failure a trial ended with, to tell whether it repeats."""
    if trial.reason is None:
        return None
    kind, _, rest = trial.reason.partition(": ")
    return kind if kind != "error" else f"error: {rest.partition(':')[0]}"
