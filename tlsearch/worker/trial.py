"""Runs one claimed trial from its hyperparameters to its recorded end."""

import traceback
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tlsearch.errors import (
    CheckpointError,
    DatabaseAway,
    Interrupted,
    TlsearchError,
    TrialFailure,
    TrialLost,
)
from tlsearch.finetune import curve_of, fine_tune, model_only
from tlsearch.prior import Prior
from tlsearch.records import Decision, EpochReport, FineTuneResult, Hyperparameters, TrialRecord
from tlsearch.sampler import build_sampler, origin_of
from tlsearch.store.artifacts import Artifacts, picture_attrs
from tlsearch.store.batched import BatchedStorage
from tlsearch.store.claims import Claim, Claims, Curve, Refusal
from tlsearch.store.measured import read_prior
from tlsearch.store.outages import DATABASE_ERRORS, Patience, is_outage, within
from tlsearch.store.studies import StoredStudy
from tlsearch.store.trials import to_record, trial_counts
from tlsearch.worker.checkpoints import TrialFiles, remove_files
from tlsearch.worker.outbox import Outbox
from tlsearch.worker.pictures import draw_pictures
from tlsearch.worker.progress import Progress
from tlsearch.worker.seeding import normal_priors
from tlsearch.worker.shutdown import Shutdown
from tlsearch.worker.twins import Twins
from tlsearch.worker.workplace import Workplace

_RETRIED = ("out_of_memory", "error")  # may be of the place rather than of the trial
_HAND_BACK_SECONDS = 3.0


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials of one study at one workplace.

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
    twins: Twins = field(default_factory=Twins)

    def claim(self, keep: int = 0) -> Claim | Refusal:
        """Claim the study's next trial; waits for a database that is away.

        A claim has to be followed by `run`: until that ends, signals are only noted.
        """
        token = str(uuid.uuid4())
        self.shutdown.hold()
        try:
            outcome = self.patience.call(lambda: self.claims.claim(token, keep))
        except BaseException:
            self.shutdown.release()
            raise
        if isinstance(outcome, Refusal):
            self.shutdown.release()
        return outcome

    def follow_prior(self) -> None:
        """Let the sampler draw from the prior as the database holds it now."""
        if self.study.spec.sampler.name != "earned_prior":
            return
        stored = self.patience.call(lambda: read_prior(self.database, self.study.study_id))
        beliefs = normal_priors(Prior.from_dict(stored)) if stored else None
        self.optuna_study.sampler = build_sampler(self.study.spec.sampler, beliefs)

    def run(self, claim: Claim) -> TrialRecord | None:
        """Run a trial and record how it ended: complete, pruned, failed, or back in the queue.

        Returns:
            How it ended; None where it did not end here: handed back, or another worker has it.

        Raises:
            DatabaseAway: the database stayed away; the trial is taken over from its checkpoint.
        """
        try:
            return _Run(self, claim).run()
        except TrialLost:
            return None
        finally:
            self.storage.release(claim.trial_id)
            self.shutdown.release()

    def record(self, claim: Claim) -> TrialRecord | None:
        """Return a trial as the database holds it, or None where its study was deleted."""
        with suppress(KeyError):
            return to_record(self.patience.call(lambda: self.database.get_trial(claim.trial_id)))
        return None


class _Run:
    """One attempt at one trial."""

    def __init__(self, runner: TrialRunner, claim: Claim) -> None:
        self._runner = runner
        self._claim = claim
        self._files = TrialFiles(runner.artifacts, claim)
        self._trained: bytes | None = None
        self._reported = 0
        self._may_prune = True
        self._frozen: FrozenTrial
        workers = runner.study.spec.workers
        self._outbox = Outbox(
            runner.claims,
            claim,
            workers.heartbeat_seconds,
            workers.outage_limit_seconds,
            runner.progress,
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
            ended = self._fault(failure.reason, str(failure))
        except (TlsearchError, *DATABASE_ERRORS):
            self._files.wait()
            raise
        except SystemExit:  # of who shows the progress: nobody reads it any more
            self._note_saved()
            self._hand_back()
            raise
        except Exception as error:
            ended = self._fault("error", _words(error), traceback.format_exc()[-4000:])
        return self._runner.record(self._claim) if ended else None

    def _attempt(self) -> bool:
        """Run the trial; return whether it ended here."""
        runner = self._runner
        if runner.shutdown.requested.is_set():  # while it was being claimed
            self._hand_back()
            return False
        trial = runner.patience.call(self._open)
        self._announce()
        hyperparameters = runner.patience.call(lambda: self._suggest(trial))
        canonical = hyperparameters.canonical(runner.workplace.space.n_body_layers)
        trial.set_user_attr("canonical", canonical.as_dict())
        trial.set_user_attr("low_lr", hyperparameters.low_lr)
        checkpoint = self._files.latest()
        self._write(len(curve_of(checkpoint)) + 1 if checkpoint else None)
        twin = runner.twins.find(runner.storage.history(runner.study.study_id), canonical)
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
        runner, trial_id = self._runner, self._claim.trial_id
        runner.storage.release(trial_id)
        self._frozen = runner.storage.adopt(runner.study.study_id, trial_id)
        self._reported = max(self._frozen.intermediate_values, default=0)
        # What was queued on purpose is there to be compared with, so it runs to its end.
        self._may_prune = "fixed_params" not in self._frozen.system_attrs
        runner.optuna_study._thread_local.cached_all_trials = None  # as Study.ask does
        return optuna.Trial(runner.optuna_study, trial_id)

    def _announce(self) -> None:
        runner = self._runner
        counts = runner.patience.call(lambda: trial_counts(runner.database, runner.study.study_id))
        runner.progress.claimed(self._frozen.number, self._claim.attempt, counts)

    def _suggest(self, trial: optuna.Trial) -> Hyperparameters:
        """Return the trial's hyperparameters, and note where they came from."""
        runner = self._runner
        known = "origin" in trial.user_attrs
        finished = runner.storage.history(runner.study.study_id).finished()
        n_finished = sum(each.state is not TrialState.FAIL for each in finished)
        hyperparameters = runner.workplace.space.suggest(trial)
        if not known:
            frozen = runner.storage.get_trial(self._claim.trial_id)
            origin = origin_of(frozen, runner.study.spec.sampler, n_finished)
            trial.set_user_attr("origin", origin)
        return hyperparameters

    def _write(self, first_epoch: int | None) -> None:
        """Record what was drawn, in one transaction."""
        held = self._runner.storage.take(self._claim.trial_id)
        self._runner.patience.call(
            lambda: self._runner.claims.write(
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
                self._runner.progress.preparing(
                    f"trial {self._frozen.number} begins again: {error}"
                )
                self._write(1)
        return self._train(hyperparameters, None)

    def _train(self, hyperparameters: Hyperparameters, checkpoint: bytes | None) -> FineTuneResult:
        self._frozen.intermediate_values.clear()
        for report in curve_of(checkpoint) if checkpoint else ():
            self._take_epoch(report)  # the database may have missed the last of them
        if checkpoint and len(curve_of(checkpoint)) == self._runner.study.spec.recipe.epochs:
            self._trained = checkpoint  # only the end was missing
        place = self._runner.workplace
        return fine_tune(
            place.backbone,
            place.data,
            self._runner.study.spec.recipe,
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
        self._runner.progress.epoch(self._frozen.number, report)
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
        study = self._runner.optuna_study
        prune = study.pruner.prune(study, self._frozen)
        if self._runner.storage.holds(self._claim.trial_id):  # what the pruner wants others to see
            self._write(None)
        return prune

    def _on_checkpoint(self, data: bytes) -> None:
        recipe, spec = self._runner.study.spec.recipe, self._runner.study.spec.checkpoints
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
            self._runner.progress.preparing(f"goes on without a checkpoint: {self._files.problem}")

    def _should_stop(self) -> bool:
        self._outbox.raise_if_lost()
        return self._outbox.should_stop() or self._runner.shutdown.requested.is_set()

    def _let_go(self, checkpoint: bytes) -> None:
        """Keep a checkpoint of this very step and hand the trial back."""
        self._files.save_now(len(curve_of(checkpoint)), checkpoint)
        self._note_saved()
        self._hand_back()

    def _hand_back(self) -> None:
        runner = self._runner
        self._outbox.close()
        refusal = self._outbox.refusal
        if runner.shutdown.requested.is_set() or refusal is None:
            refusal = None
            self._outbox.check()
        ended = refusal.verdict if refusal else "preempted"
        by = runner.shutdown.by if runner.shutdown.requested.is_set() else "output closed"
        reason = refusal.why if refusal else f"{by} on {runner.workplace.name}"
        curve, epoch = self._outbox.undelivered()

        def hand_back() -> bool:
            return runner.claims.hand_back(self._claim, ended, reason, curve, epoch)  # type: ignore[arg-type]

        try:
            ours = within(_HAND_BACK_SECONDS, lambda: Patience(_HAND_BACK_SECONDS).call(hand_back))
            if not ours:
                raise TrialLost("the trial is another worker's by now")
        except DatabaseAway as away:
            runner.progress.preparing(f"{away}: the trial goes on elsewhere once it is missed")

    def _finish(self, result: FineTuneResult) -> None:
        runner = self._runner
        state = TrialState.PRUNED if result.stopped else TrialState.COMPLETE
        self._after_trial(state, result.val_accuracy)
        held = runner.storage.take(self._claim.trial_id)
        has_model = False
        if not result.stopped and self._is_among_best(result.val_accuracy):
            has_model = self._keep_model()
            held.system_attrs |= self._pictures(result)
        held.user_attrs["seconds"] = round(result.seconds, 3)
        if self._files.problem is not None:
            held.user_attrs["checkpoint_problem"] = self._files.problem
        self._end(
            "pruned" if result.stopped else "complete",
            result.val_accuracy,
            has_model=has_model,
            user_attrs=held.user_attrs,
            system_attrs=held.system_attrs,
        )
        if has_model:
            keep = runner.study.spec.checkpoints.keep_best
            lost = runner.patience.call(lambda: runner.claims.surplus_models(keep))
            remove_files(runner.artifacts, lost)
            self._files.remove_earlier()
        else:
            self._files.remove()

    def _is_among_best(self, value: float) -> bool:
        history = self._runner.storage.history(self._runner.study.study_id)
        complete = [t for t in history.finished() if t.state is TrialState.COMPLETE]
        better = sum(t.value is not None and t.value >= value for t in complete)
        return better < self._runner.study.spec.checkpoints.keep_best

    def _keep_model(self) -> bool:
        if self._trained is None:
            return False
        return self._files.keep_model(model_only(self._trained))

    def _pictures(self, result: FineTuneResult) -> dict[str, str]:
        """Return the attributes that show pictures of a good trial in the dashboard."""
        runner = self._runner
        history = runner.storage.history(runner.study.study_id)
        try:
            labels = runner.workplace.data.val.labels.tolist()
            names = runner.study.data["class_names"]
            pictures = draw_pictures(self._frozen.number, result, history, labels, names)
            return picture_attrs(runner.artifacts, pictures)
        except (OSError, TlsearchError):  # a full disk; the trial is worth more than its pictures
            return {}

    def _after_trial(self, state: TrialState, value: float) -> None:
        """Let the sampler learn, as Optuna's tell does."""
        frozen = self._runner.storage.get_trial(self._claim.trial_id)
        study = self._runner.optuna_study
        study.sampler.after_trial(study, frozen, state, [value])

    def _copy(self, twin: FrozenTrial) -> None:
        """Take over the curve and the result of a twin: training is the same to the last digit."""
        epochs = sorted(twin.intermediate_values)
        curve = Curve(epochs, [twin.intermediate_values[epoch] for epoch in epochs])
        original = twin.user_attrs.get("duplicate_of", twin.number)
        attrs = {"duplicate_of": original, "seconds": 0.0}
        self._end("complete", twin.value, curve=curve, user_attrs=attrs)
        self._files.remove()

    def _end(self, ending: Any, value: float | None, **kept: Any) -> None:
        self._outbox.close()
        self._outbox.raise_if_lost()
        if "curve" not in kept:
            kept["curve"] = self._outbox.undelivered()[0]
        claims, claim = self._runner.claims, self._claim
        self._runner.patience.call(lambda: claims.end(claim, ending, value, **kept))

    def _fault(self, kind: str, words: str, trace: str | None = None) -> bool:
        """Record a failure: of the place, to be tried again elsewhere, or of the trial itself."""
        claims, claim = self._runner.claims, self._claim
        self._files.wait()
        curve, epoch = self._outbox.undelivered()
        words = words.replace("\0", " ")
        attrs = {"traceback": trace} if trace else {}

        def retry() -> None:
            claims.write(claim, user_attrs=attrs)
            claims.hand_back(claim, kind, words, curve, epoch)  # type: ignore[arg-type]

        def fail() -> None:
            claims.end(claim, "fail", None, f"{kind}: {words}", curve=curve, user_attrs=attrs)
            self._files.remove()

        self._runner.patience.call(retry if kind in _RETRIED else fail)
        return True

    def _forsake(self) -> None:
        """Remove this attempt's files where no other will: of a trial that ended or is gone."""
        self._files.wait()
        with suppress(DatabaseAway, *DATABASE_ERRORS):
            if within(_HAND_BACK_SECONDS, lambda: self._runner.claims.is_over(self._claim)):
                self._files.remove()


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def failure_kind(trial: TrialRecord) -> str | None:
    """Return what kind of failure a trial ended with, to tell whether it repeats."""
    if trial.reason is None:
        return None
    kind, _, rest = trial.reason.partition(": ")
    return kind if kind != "error" else f"error: {rest.partition(':')[0]}"
