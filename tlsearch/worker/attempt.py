"""One attempt at a claimed trial, from its hyperparameters to its recorded end."""

import traceback
from contextlib import suppress
from dataclasses import dataclass, field

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tlsearch.artifacts import Artifacts, picture_attrs
from tlsearch.errors import (
    CheckpointError,
    DatabaseAway,
    Interrupted,
    TlsearchError,
    TrialFailure,
    TrialLost,
)
from tlsearch.finetune import curve_of, fine_tune, model_only
from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.records import (
    Decision,
    EpochReport,
    Failure,
    FineTuneResult,
    Hyperparameters,
    TrialRecord,
)
from tlsearch.sampler import origin_of
from tlsearch.store.claims import Claim, Claims, Curve, Release
from tlsearch.store.outages import DATABASE_ERRORS, Patience, is_outage, within
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.trials import to_record, trial_counts
from tlsearch.worker.checkpoints import TrialFiles, remove_files
from tlsearch.worker.duplicates import Duplicates
from tlsearch.worker.epoch_reporter import EpochReporter
from tlsearch.worker.pictures import draw_pictures
from tlsearch.worker.progress import Progress
from tlsearch.worker.signals import Shutdown
from tlsearch.worker.workplace import Workplace

_NOT_RETRIED = ("nan",)  # the trial's own fault, on any machine
_HAND_BACK_SECONDS = 3.0


@dataclass(frozen=True)
class Setting:
    """What attempts at the trials of one study need at one workplace.

    Attributes:
        database: Optuna's storage.
        storage: the same for trials that run here, whose writes it holds.
        study: the study.
        optuna_study: Optuna's view of it, on `storage`.
        claims: where trials are claimed and ended.
        workplace: data, network and device.
        artifacts: where checkpoints and models are kept.
        patience: with the database.
        shutdown: whether the worker was asked to end.
        progress: told what happens.
    """

    database: RDBStorage
    storage: BatchedStorage
    study: StoredStudy
    optuna_study: optuna.Study
    claims: Claims
    workplace: Workplace
    artifacts: Artifacts
    patience: Patience
    shutdown: Shutdown
    progress: Progress
    twins: Duplicates = field(default_factory=Duplicates)

    def record(self, claim: Claim) -> TrialRecord | None:
        """Return a trial as the database holds it, or None where its study was deleted."""
        with suppress(KeyError):
            return to_record(self.patience.call(lambda: self.database.get_trial(claim.trial_id)))
        return None


class Attempt:
    """One attempt at one trial."""

    def __init__(self, setting: Setting, claim: Claim) -> None:
        self._setting = setting
        self._claim = claim
        self._files = TrialFiles(setting.artifacts, claim)
        self._trained: bytes | None = None
        self._reported = 0
        self._may_prune = True
        self._frozen: FrozenTrial
        workers = setting.study.spec.workers
        self._outbox = EpochReporter(
            setting.claims,
            claim,
            workers.heartbeat_seconds,
            workers.outage_limit_seconds,
            setting.progress,
        )

    def run(self) -> TrialRecord | None:
        try:
            return self._run()
        except TrialLost:
            self._forsake()
            raise

    def _run(self) -> TrialRecord | None:
        try:
            with self._outbox:
                ended = self._attempt()
        except TrialFailure as failure:
            ended = self._fault(Failure(failure.kind, str(failure)))
        except (TlsearchError, *DATABASE_ERRORS):
            self._files.wait()
            raise
        except SystemExit:  # of who shows the progress: nobody reads it any more
            self._note_saved()
            self._hand_back()
            raise
        except Exception as error:
            words = (str(error).splitlines() or [""])[0]
            unexpected = Failure(type(error).__name__, words)
            ended = self._fault(unexpected, traceback.format_exc()[-4000:])
        return self._setting.record(self._claim) if ended else None

    def _attempt(self) -> bool:
        """Run the trial; return whether it ended here."""
        setting = self._setting
        if setting.shutdown.requested.is_set():  # while it was being claimed
            self._hand_back()
            return False
        trial = setting.patience.call(self._open)
        self._announce()
        hyperparameters = setting.patience.call(lambda: self._suggest(trial))
        canonical = hyperparameters.canonical(setting.workplace.space.n_body_layers)
        trial.set_user_attr("canonical", canonical.as_dict())
        trial.set_user_attr("low_lr", hyperparameters.low_lr)
        checkpoint = self._files.latest()
        self._write(len(curve_of(checkpoint)) + 1 if checkpoint else None)
        twin = setting.twins.find(setting.storage.history(setting.study.study_id), canonical)
        if twin is not None:
            self._copy(twin)
            return True
        try:
            result = self._fine_tune(hyperparameters, checkpoint)
        except Interrupted as interrupted:
            self._let_go(interrupted.checkpoint)
            return False
        self._finish(result)
        return True

    def _open(self) -> optuna.Trial:
        setting, trial_id = self._setting, self._claim.trial_id
        setting.storage.release(trial_id)
        self._frozen = setting.storage.adopt(setting.study.study_id, trial_id)
        self._reported = max(self._frozen.intermediate_values, default=0)
        # What was queued on purpose is there to be compared with, so it runs to its end.
        self._may_prune = "fixed_params" not in self._frozen.system_attrs
        setting.optuna_study._thread_local.cached_all_trials = None  # as Study.ask does
        return optuna.Trial(setting.optuna_study, trial_id)

    def _announce(self) -> None:
        setting = self._setting
        counts = setting.patience.call(
            lambda: trial_counts(setting.database, setting.study.study_id)
        )
        setting.progress.claimed(self._frozen.number, self._claim.attempt, counts)

    def _suggest(self, trial: optuna.Trial) -> Hyperparameters:
        """Return the trial's hyperparameters, and note where they came from."""
        setting = self._setting
        known = "origin" in trial.user_attrs
        finished = setting.storage.history(setting.study.study_id).finished()
        n_finished = sum(each.state is not TrialState.FAIL for each in finished)
        hyperparameters = setting.workplace.space.suggest(trial)
        if not known:
            frozen = setting.storage.get_trial(self._claim.trial_id)
            origin = origin_of(frozen, setting.study.spec.sampler, n_finished)
            trial.set_user_attr("origin", origin)
        return hyperparameters

    def _write(self, first_epoch: int | None) -> None:
        """Record what was drawn, in one transaction."""
        held = self._setting.storage.take(self._claim.trial_id)
        self._setting.patience.call(
            lambda: self._setting.claims.write(
                self._claim,
                held.params_as_json(),
                held.user_attrs,
                held.system_attrs,
                first_epoch,
            )
        )

    def _fine_tune(
        self, hyperparameters: Hyperparameters, checkpoint: bytes | None
    ) -> FineTuneResult:
        if checkpoint is not None:
            try:
                return self._train(hyperparameters, checkpoint)
            except CheckpointError as error:
                self._setting.progress.preparing(
                    f"trial {self._frozen.number} begins again: {error}"
                )
                self._write(1)
        return self._train(hyperparameters, None)

    def _train(self, hyperparameters: Hyperparameters, checkpoint: bytes | None) -> FineTuneResult:
        self._frozen.intermediate_values.clear()
        for report in curve_of(checkpoint) if checkpoint else ():
            self._take_epoch(report)  # the database may have missed the last of them
        if checkpoint and len(curve_of(checkpoint)) == self._setting.study.spec.recipe.epochs:
            self._trained = checkpoint  # only the end was missing
        place = self._setting.workplace
        return fine_tune(
            place.backbone,
            place.data,
            self._setting.study.spec.recipe,
            hyperparameters,
            place.device,
            self._on_epoch,
            should_stop=self._should_stop,
            on_checkpoint=self._on_checkpoint,
            resume=checkpoint,
        )

    def _take_epoch(self, report: EpochReport) -> None:
        self._frozen.intermediate_values[report.epoch] = report.val_accuracy
        self._outbox.report(report.epoch, report.val_accuracy)

    def _on_epoch(self, report: EpochReport) -> Decision:
        self._files.wait()  # what is reported is at most one epoch ahead of what is on disk
        self._take_epoch(report)
        self._setting.progress.epoch(self._frozen.number, report)
        # Epochs that an earlier attempt reported were judged then; offline there is nothing new.
        if not self._may_prune or report.epoch <= self._reported or self._outbox.away:
            return Decision.CONTINUE
        try:
            return Decision.STOP if self._should_prune() else Decision.CONTINUE
        except DATABASE_ERRORS as error:
            if not is_outage(error):
                raise
            return Decision.CONTINUE

    def _should_prune(self) -> bool:
        study = self._setting.optuna_study
        prune = study.pruner.prune(study, self._frozen)
        if self._setting.storage.holds(self._claim.trial_id):  # what the pruner wants others to see
            self._write(None)
        return prune

    def _on_checkpoint(self, data: bytes) -> None:
        recipe, spec = self._setting.study.spec.recipe, self._setting.study.spec.checkpoints
        epoch = len(curve_of(data))
        if epoch == recipe.epochs:
            self._trained = data
        elif epoch % spec.every_epochs == 0:
            self._note_saved()
            self._files.save(epoch, data)

    def _note_saved(self) -> None:
        """Tell the database of the checkpoint that is on disk by now."""
        self._files.wait()
        if self._files.saved_epoch is not None:
            self._outbox.note_checkpoint(self._files.saved_epoch)
        if self._files.problem is not None:
            self._setting.progress.preparing(f"goes on without a checkpoint: {self._files.problem}")

    def _should_stop(self) -> bool:
        self._outbox.raise_if_lost()
        return self._outbox.should_stop() or self._setting.shutdown.requested.is_set()

    def _let_go(self, checkpoint: bytes) -> None:
        """Keep a checkpoint of this very step and hand the trial back."""
        self._files.save_now(len(curve_of(checkpoint)), checkpoint)
        self._note_saved()
        self._hand_back()

    def _hand_back(self) -> None:
        setting = self._setting
        self._outbox.close()
        refusal = self._outbox.refusal
        if setting.shutdown.requested.is_set() or refusal is None:
            refusal = None
            self._outbox.check()
        kind = refusal.verdict if refusal else "preempted"
        by = setting.shutdown.by if setting.shutdown.requested.is_set() else "output closed"
        why = Release(kind, refusal.why if refusal else f"{by} on {setting.workplace.name}")  # type: ignore[arg-type]
        curve, epoch = self._outbox.undelivered()

        def hand_back() -> bool:
            return setting.claims.release(self._claim, why, curve, epoch)

        try:
            ours = within(_HAND_BACK_SECONDS, lambda: Patience(_HAND_BACK_SECONDS).call(hand_back))
            if not ours:
                raise TrialLost("the trial is another worker's by now")
        except DatabaseAway as away:
            setting.progress.preparing(f"{away}: the trial goes on elsewhere once it is missed")

    def _finish(self, result: FineTuneResult) -> None:
        setting = self._setting
        state = TrialState.PRUNED if result.stopped else TrialState.COMPLETE
        setting.patience.call(lambda: self._after_trial(state, result.val_accuracy))
        held = setting.storage.take(self._claim.trial_id)
        has_model = False
        if not result.stopped and self._is_among_best(result.val_accuracy):
            has_model = self._keep_model()
            held.system_attrs |= self._pictures(result)
        held.user_attrs["seconds"] = round(result.seconds, 3)
        if self._files.problem is not None:
            held.user_attrs["checkpoint_problem"] = self._files.problem
        curve = self._curve_left()
        user, system = held.user_attrs, held.system_attrs

        def end() -> None:
            claims, claim, value = setting.claims, self._claim, result.val_accuracy
            if result.stopped:
                claims.prune(claim, value, curve, user_attrs=user, system_attrs=system)
            else:
                claims.complete(
                    claim, value, curve, has_model=has_model, user_attrs=user, system_attrs=system
                )

        setting.patience.call(end)
        if has_model:
            keep = setting.study.spec.checkpoints.keep_best
            lost = setting.patience.call(lambda: setting.claims.surplus_models(keep))
            remove_files(setting.artifacts, lost)
            self._files.remove_earlier()
        else:
            self._files.remove()

    def _is_among_best(self, value: float) -> bool:
        history = self._setting.storage.history(self._setting.study.study_id)
        complete = [t for t in history.finished() if t.state is TrialState.COMPLETE]
        better = sum(t.value is not None and t.value >= value for t in complete)
        return better < self._setting.study.spec.checkpoints.keep_best

    def _keep_model(self) -> bool:
        if self._trained is None:
            return False
        return self._files.keep_model(model_only(self._trained))

    def _pictures(self, result: FineTuneResult) -> dict[str, str]:
        """Return the attributes that show pictures of a good trial in the dashboard."""
        setting = self._setting
        history = setting.storage.history(setting.study.study_id)
        try:
            labels = setting.workplace.data.val.labels.tolist()
            names = setting.study.data.class_names
            pictures = draw_pictures(self._frozen.number, result, history, labels, names)
            return picture_attrs(setting.artifacts, pictures)
        except (OSError, TlsearchError):  # a full disk; the trial is worth more than its pictures
            return {}

    def _after_trial(self, state: TrialState, value: float) -> None:
        """Let the sampler learn, as Optuna's tell does."""
        frozen = self._setting.storage.get_trial(self._claim.trial_id)
        study = self._setting.optuna_study
        study.sampler.after_trial(study, frozen, state, [value])

    def _copy(self, twin: FrozenTrial) -> None:
        """Take over the curve and the result of a twin: training is the same to the last digit."""
        epochs = sorted(twin.intermediate_values)
        curve = Curve(epochs, [twin.intermediate_values[epoch] for epoch in epochs])
        original = twin.user_attrs.get("duplicate_of", twin.number)
        attrs = {"duplicate_of": original, "seconds": 0.0}
        value = twin.value
        assert value is not None, "only complete trials are found"
        self._curve_left()
        claims, claim = self._setting.claims, self._claim
        self._setting.patience.call(lambda: claims.complete(claim, value, curve, user_attrs=attrs))
        self._files.remove()

    def _curve_left(self) -> Curve:
        """Stop the deliveries and return what did not arrive."""
        self._outbox.close()
        self._outbox.raise_if_lost()
        return self._outbox.undelivered()[0]

    def _fault(self, failure: Failure, trace: str | None = None) -> bool:
        """Record a failure: of the place, to be tried again elsewhere, or of the trial itself."""
        claims, claim = self._setting.claims, self._claim
        self._files.wait()
        curve, epoch = self._outbox.undelivered()
        attrs = {"traceback": trace} if trace else {}

        def fail() -> None:
            claims.fail(claim, failure, curve, user_attrs=attrs)
            self._files.remove()

        patience = self._setting.patience
        if failure.kind in _NOT_RETRIED:
            patience.call(fail)
            return True
        # One after the other: the first cannot be repeated once the second was done.
        patience.call(lambda: claims.write(claim, user_attrs=attrs))
        return patience.call(lambda: claims.release_failed(claim, failure, curve, epoch))

    def _forsake(self) -> None:
        """Remove this attempt's files where no other will: of a trial that ended or is gone."""
        self._files.wait()
        with suppress(DatabaseAway, *DATABASE_ERRORS):
            if within(_HAND_BACK_SECONDS, lambda: self._setting.claims.is_over(self._claim)):
                self._files.remove()
