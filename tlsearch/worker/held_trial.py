"""A claimed trial in the hands of this worker."""

from dataclasses import dataclass, replace

from tlsearch.finetune import curve_of
from tlsearch.records import AS_RECIPE, Variation
from tlsearch.store.claims import Claim
from tlsearch.worker.checkpoints import TrialFiles
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.energy import EnergyUse
from tlsearch.worker.epoch_reporter import EpochReporter
from tlsearch.worker.floor import FixedFeatures
from tlsearch.worker.materials import TrainingMaterials
from tlsearch.worker.optuna_trials import OpenTrial, RunningTrials


@dataclass(frozen=True)
class HeldTrial:
    """A claimed trial in the hands of this worker.

    Attributes:
        context: what the worker needs to work on the study.
        claim: the claim on the trial.
        materials: what it trains with.
        trials: Optuna's side of it.
        fixed: the study's fixed features.
        files: its checkpoints.
        reporter: takes its epochs to the database.
        energy: what its GPU uses meanwhile.
        variation: how its training differs from the recipe.
    """

    context: WorkerContext
    claim: Claim
    materials: TrainingMaterials
    trials: RunningTrials
    fixed: FixedFeatures
    files: TrialFiles
    reporter: EpochReporter
    energy: EnergyUse
    variation: Variation = AS_RECIPE

    @classmethod
    def of(
        cls,
        context: WorkerContext,
        claim: Claim,
        materials: TrainingMaterials,
        trials: RunningTrials,
        fixed: FixedFeatures,
    ) -> "HeldTrial":
        """Return a trial that was claimed just now."""
        workers = context.study.spec.workers
        reporter = EpochReporter(
            context.claims,
            claim,
            workers.heartbeat_seconds,
            workers.outage_limit_seconds,
            context.progress,
        )
        files = TrialFiles(context.artifacts, claim)
        energy = EnergyUse.now(context.device)
        return cls(context, claim, materials, trials, fixed, files, reporter, energy)

    def opened(self, trial: OpenTrial) -> "HeldTrial":
        """Return the same with what the database says: its seed, its images, earlier energy."""
        fixed = self.fixed.on(trial.variation.train_on)
        return replace(
            self,
            fixed=fixed,
            materials=fixed.materials,
            energy=self.energy.after(trial.energy),
            variation=trial.variation,
        )

    def write_pending(self, first_epoch: int | None = None) -> None:
        """Write what the sampler and the pruner said of the trial, in one transaction.

        Args:
            first_epoch: where the attempt goes on; None = leave that as it is.

        Raises:
            TrialLost: the trial is no longer this worker's.
        """
        pending = self.trials.take_pending(self.claim.trial_id)
        self.context.retry.call(
            lambda: self.context.claims.write(
                self.claim,
                pending.params_as_json(),
                pending.user_attrs,
                pending.system_attrs,
                first_epoch,
            )
        )

    def save_checkpoint(self, epoch: int, checkpoint: bytes) -> None:
        """Begin to write the checkpoint of an epoch beside the training; report the one before."""
        self.report_checkpoint()
        self.files.save(epoch, checkpoint)

    def save_checkpoint_now(self, checkpoint: bytes) -> None:
        """Write a checkpoint, wait until it is on disk, and report it."""
        self.files.save_now(len(curve_of(checkpoint)), checkpoint)
        self.report_checkpoint()

    def report_checkpoint(self) -> None:
        """Tell the database of the checkpoint that is on disk by now."""
        self.files.wait()
        if self.files.saved_epoch is not None:
            self.reporter.note_checkpoint(self.files.saved_epoch)
        if self.files.problem is not None:
            self.context.progress.preparing(f"goes on without a checkpoint: {self.files.problem}")
