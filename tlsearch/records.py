"""The frozen records that stages hand to one another.

`Hyperparameters` is the waist of the project: the search half makes one, the fine-tuning half
consumes one, and neither knows anything else of the other.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Range:
    """A closed range of numbers; `low == high` means fixed."""

    low: float
    high: float

    @property
    def fixed(self) -> bool:
        """Whether the range holds a single value."""
        return self.low == self.high

    def nearest(self, value: float) -> float:
        """Return the value of the range that is nearest to `value`."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """One way to fine-tune; layers are counted from the input, the classifier is the last.

    Source: Plested, Shen, Gedeon, "Rethinking binary hyperparameters for deep transfer learning
    for image classification", sections 4.3 (reinit_layers), 4.4 (rates), 4.5 (alpha, beta).

    Attributes:
        reinit_layers: top layers started from random weights; 1 = the classifier only.
        high_lr: peak learning rate of the layers above the low ones and of reinitialised layers.
        low_lr_ratio: low learning rate as a share of `high_lr`, in (0, 1].
        low_layers: layers at the low rate, from the input; 0 = one rate for all.
        alpha: strength of L2-SP, the decay toward the pretrained weights.
        beta: strength of L2, the decay toward zero.
        l2sp_layers: lowest layers under L2-SP instead of L2; 0 = plain L2.
    """

    reinit_layers: int
    high_lr: float
    low_lr_ratio: float
    low_layers: int
    alpha: float
    beta: float
    l2sp_layers: int

    @property
    def low_lr(self) -> float:
        """Peak learning rate of the low layers."""
        return self.high_lr * self.low_lr_ratio

    def canonical(self, n_body_layers: int) -> "Hyperparameters":
        """Return the simplest hyperparameters that train the same model.

        A reinitialised layer always takes the high rate and never L2-SP, so depths end below it;
        a knob without effect takes its neutral value (ratio 1, depth 0, alpha 0).

        Args:
            n_body_layers: layers of the backbone without the classifier.
        """
        kept = n_body_layers + 1 - self.reinit_layers
        low_layers = min(self.low_layers, kept) if self.low_lr_ratio != 1 else 0
        l2sp_layers = min(self.l2sp_layers, kept)
        return replace(
            self,
            low_layers=low_layers,
            low_lr_ratio=self.low_lr_ratio if low_layers else 1.0,
            l2sp_layers=l2sp_layers,
            alpha=self.alpha if l2sp_layers else 0.0,
        )

    def as_dict(self) -> dict[str, int | float]:
        """Return the seven values by name, in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Hyperparameters":
        """Build from a mapping that holds at least the seven names."""
        return cls(
            reinit_layers=int(values["reinit_layers"]),
            high_lr=float(values["high_lr"]),
            low_lr_ratio=float(values["low_lr_ratio"]),
            low_layers=int(values["low_layers"]),
            alpha=float(values["alpha"]),
            beta=float(values["beta"]),
            l2sp_layers=int(values["l2sp_layers"]),
        )


HYPERPARAMETER_NAMES = tuple(field.name for field in fields(Hyperparameters))

DEPTHS = frozenset({"reinit_layers", "low_layers", "l2sp_layers"})  # those that count layers


class Decision(enum.Enum):
    """What the receiver of an epoch's report wants the engine to do."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What the engine says after each epoch.

    Attributes:
        epoch: from 1.
        val_accuracy: top-1 on the validation images, a fraction.
        train_loss: mean label-smoothed cross-entropy of the epoch, without the penalties.
        seconds: since the fine-tuning began, without those between an interruption and going on.
    """

    epoch: int
    val_accuracy: float
    train_loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class FineTuneResult:
    """How a fine-tuning ended.

    Attributes:
        curve: a report an epoch, in order.
        stopped: True where `on_epoch` asked to stop before the last epoch.
        seconds: wall time of training and validation, that before an interruption included.
        val_predictions: predicted class index of each validation image, in order, after the last
            epoch that ran.
    """

    curve: tuple[EpochReport, ...]
    stopped: bool
    seconds: float
    val_predictions: tuple[int, ...] = ()

    @property
    def val_accuracy(self) -> float:
        """Validation accuracy of the last epoch, a fraction."""
        return self.curve[-1].val_accuracy


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as the database holds it.

    Attributes:
        number: from 0, in the order of creation.
        state: Optuna's state in lower case: waiting, running, complete, pruned, fail.
        val_accuracy: of the last epoch reported, a fraction; None before the first.
        params: the seven hyperparameters; None until they are suggested.
        epochs: epochs reported.
        seconds: training seconds, of the attempt that ended; None while it runs.
        origin: where the hyperparameters came from (default, prior, tpe, ...).
        attempt: from 1.
        worker: host, process and device of the last attempt.
        reason: why it failed, if it did.
        duplicate_of: number of an earlier trial with the same canonical hyperparameters, whose
            result this one took over.
        silent_seconds: since its worker's last sign of life, where a status was asked for and the
            trial runs.
    """

    number: int
    state: str
    val_accuracy: float | None
    params: Hyperparameters | None
    epochs: int
    seconds: float | None
    origin: str | None = None
    attempt: int = 0
    worker: str | None = None
    reason: str | None = None
    duplicate_of: int | None = None
    silent_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Controls:
    """What steers a study while it runs.

    Attributes:
        state: `running`, `paused` or `stopped`, as users said.
        trials: trials that may run.
        gpu_hours: hours that workers may hold trials, added up; None = no limit.
        until: when no trial runs any more, with its time zone; None = no limit.
        target_accuracy: validation accuracy that ends the study, a fraction; None = none.
        patience_trials: trials in a row without a better accuracy that end it; None = none.
        gpu_hours_used: hours that workers held trials so far.
        verdict: why no trial runs now: `paused`, `stopped`, `budget` (a limit but the number of
            trials; workers let go of theirs), `done` (that number has run); else None.
        why: a clause on that.
    """

    state: str
    trials: int
    gpu_hours: float | None
    until: datetime | None
    target_accuracy: float | None
    patience_trials: int | None
    gpu_hours_used: float
    verdict: str | None
    why: str | None

    @property
    def over(self) -> bool:
        """Whether workers leave; a paused study is not over."""
        return self.verdict not in (None, "paused")


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """Where a study stands.

    Attributes:
        name: the study's name.
        controls: its state and budget as they stand now.
        counts: trials by state.
        default_val_accuracy: of the plain fine-tuning default, once it is complete.
        best: the best complete trial.
        train_seconds: seconds of training spent in ended trials.
        running: trials that run now.
    """

    name: str
    controls: Controls
    counts: Mapping[str, int]
    default_val_accuracy: float | None
    best: TrialRecord | None
    train_seconds: float
    running: tuple[TrialRecord, ...]

    @property
    def budget_trials(self) -> int:
        """Trials the study may run."""
        return self.controls.trials

    @property
    def ended(self) -> int:
        """Trials that used up a part of the budget and are over."""
        return sum(self.counts.get(state, 0) for state in ("complete", "pruned", "fail"))


@dataclass(frozen=True, slots=True)
class Measures:
    """How well the pretrained weights fit the target: the domain measures.

    Source: Plested, Shen, Gedeon, section 4.1 and Table 1. Accuracies are fractions.

    Attributes:
        fixed_features: validation accuracy of a linear classifier on frozen features.
        fixed_features_strength: its regularisation (scikit-learn's C), chosen on validation.
        random_init: validation accuracy of the same network trained from random weights; None
            where that trial failed.
        random_init_epochs: epochs it was given.
        fisher: normalised Fisher score Tr(Sw^-1 Sb) / Nc with shrunk Sw.
        fisher_floor: the same with permuted labels, the mean of several permutations.
        fisher_floor_spread: its standard deviation.
        emd: earth mover's distance from source to target class means, in feature units; None
            where nothing is known of the source.
        emd_similarity: exp(-0.01 emd).
        emd_source: what stood for the source.
        lr_range: learning rate at the lowest loss of a range test; None where that failed.
        n_val: validation images, from which the accuracies' precision follows.
        feature_seconds: time of extracting features and measuring on them.
        lr_range_seconds: time of the range test.
        random_init_seconds: training time of the network from random weights.
    """

    fixed_features: float
    fixed_features_strength: float
    random_init: float | None
    random_init_epochs: int
    fisher: float
    fisher_floor: float
    fisher_floor_spread: float
    emd: float | None
    emd_similarity: float | None
    emd_source: str
    lr_range: float | None
    n_val: int
    feature_seconds: float
    lr_range_seconds: float
    random_init_seconds: float

    @property
    def fit(self) -> float | None:
        """Random initialisation minus fixed features: negative where the weights fit."""
        return None if self.random_init is None else self.random_init - self.fixed_features

    @property
    def fit_error(self) -> float | None:
        """Standard error of `fit`, as if the two accuracies were independent.

        Each is estimated with one right and one wrong image more (Laplace), so that accuracies of
        0 or 1 on a handful of images are not taken for certain.
        """
        if self.random_init is None:
            return None
        n = self.n_val
        shares = [(p * n + 1) / (n + 2) for p in (self.fixed_features, self.random_init)]
        return math.sqrt(sum(p * (1 - p) / n for p in shares))

    @property
    def fisher_ratio(self) -> float:
        """Fisher score in units of its floor; 1 = no better than noise."""
        return self.fisher / self.fisher_floor

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storing."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Measures":
        """Read what `as_dict` wrote."""
        return cls(**stored)
