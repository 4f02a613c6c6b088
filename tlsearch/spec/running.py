"""How trials are run and what is kept of them: `[budget]`, `[workers]` and `[checkpoints]`."""

from typing import Literal

from pydantic import Field, model_validator

from tlsearch.spec.fields import PositiveInt, Table


class BudgetSpec(Table):
    """What the study may use when it is created; `tlsearch budget` changes it later.

    Attributes:
        trials: number of trials; one that runs again after its worker died counts once.
        gpu_hours: hours of running trials, summed over all workers; None = no limit.
        target_accuracy: a complete trial with this validation accuracy (a fraction) ends the
            study; None = no target.
        patience_trials: this many trials in a row without a better accuracy end the study; None =
            no such limit.
    """

    trials: int = Field(40, ge=1, lt=2**31)
    gpu_hours: float | None = Field(None, gt=0)
    target_accuracy: float | None = Field(None, gt=0, le=1)
    patience_trials: int | None = Field(None, ge=1, lt=2**31)


class WorkersSpec(Table):
    """How workers keep, lose and repeat trials.

    Attributes:
        heartbeat_seconds: between two heartbeats of a worker.
        stalled_after_seconds: time without a heartbeat after which another worker takes the trial
            over.
        max_attempts: attempts that may end in a fault (no heartbeat, too little memory, an error)
            before the trial fails; being preempted is not a fault.
        outage_limit_seconds: how long a worker waits for a database that it cannot reach.
    """

    heartbeat_seconds: PositiveInt = 10
    stalled_after_seconds: PositiveInt = 60
    max_attempts: PositiveInt = 3
    outage_limit_seconds: PositiveInt = 900

    @model_validator(mode="after")
    def _stalled_after_two_heartbeats(self) -> "WorkersSpec":
        if self.stalled_after_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"stalled_after_seconds = {self.stalled_after_seconds} must be at least twice "
                f"heartbeat_seconds = {self.heartbeat_seconds}"
            )
        return self


class FinalSpec(Table):
    """Which models `tlsearch test` tests.

    Attributes:
        train_on: `train` = those of the finalists; `train+val` = the recommended one and the
            baselines are trained again, over the same seeds, on the validation images as well.
    """

    train_on: Literal["train", "train+val"] = "train"


class CheckpointsSpec(Table):
    """Which files of trials are kept, and where.

    Attributes:
        folder: a folder that all workers reach, or `s3://bucket/prefix`; None = a folder of the
            user. The environment variable TLSEARCH_ARTIFACTS gives another one on a machine.
        every_epochs: epochs between two checkpoints of a running trial.
        keep_best: trials whose trained model is kept.
    """

    folder: str | None = None
    every_epochs: PositiveInt = 1
    keep_best: int = Field(3, ge=0)
