"""What the fine-tuning half reports about a training."""

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tlsearch.records.objective import Figures, Objective, attr, score_of

if TYPE_CHECKING:  # so that commands that train nothing start without it
    import numpy as np
    from numpy.typing import NDArray


PredictedLabel = int | tuple[int, ...]  # of one image: of several labels all that are predicted

TIMES = "times"  # the trial's user attribute that holds `TrainingTimes`


class Decision(enum.Enum):
    """What the engine should do after an epoch's report."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What the engine reports after each epoch.

    Attributes:
        epoch: from 1.
        val_accuracy: top-1 on the validation images, a fraction.
        train_loss: mean label-smoothed cross-entropy of the epoch, without the penalties.
        seconds: since the fine-tuning began, without the time between an interruption and a
            resumption.
        val_balanced_accuracy, val_macro_f1, val_log_loss, val_mean_average_precision: the other
            `Figures` on these images; None also of an epoch that an earlier version trained.
    """

    epoch: int
    val_accuracy: float
    train_loss: float
    seconds: float
    val_balanced_accuracy: float | None = None
    val_macro_f1: float | None = None
    val_log_loss: float | None = None
    val_mean_average_precision: float | None = None

    @classmethod
    def of(cls, epoch: int, figures: Figures, train_loss: float, seconds: float) -> "EpochReport":
        """Return the report of an epoch."""
        return cls(
            epoch,
            figures.accuracy,
            train_loss,
            seconds,
            figures.balanced_accuracy,
            figures.macro_f1,
            figures.log_loss,
            figures.mean_average_precision,
        )

    def figure(self, objective: Objective) -> float | None:
        """Return the figure that an objective names, in its own unit."""
        found: float | None = getattr(self, attr(objective))
        return found

    def score(self, objective: Objective) -> float:
        """Return the score by an objective: larger is better.

        Raises:
            ValueError: an earlier version trained the epoch, and did not compute it.
        """
        found = self.figure(objective)
        if found is None:
            raise ValueError(f"epoch {self.epoch} has no {objective}")
        return score_of(objective, found)

    @property
    def figures(self) -> Figures | None:
        """All figures; None of an epoch that an earlier version trained."""
        if self.val_macro_f1 is None or self.val_log_loss is None:
            return None
        return Figures(
            self.val_accuracy,
            self.val_balanced_accuracy,
            self.val_macro_f1,
            self.val_log_loss,
            self.val_mean_average_precision,
        )


@dataclass(frozen=True, slots=True)
class TrainingTimes:
    """Where the time of a training went, since it began or was resumed.

    Attributes:
        batches: seconds to crop, augment and normalise images.
        steps: seconds of optimiser steps, forward and backward passes included.
        validation: seconds of validations, batch-norm statistics included.
        images: that were trained on.
    """

    batches: float
    steps: float
    validation: float
    images: int

    def as_attrs(self) -> dict[str, object]:
        """Return the user attribute of a trial that holds them, rounded."""
        training = self.batches + self.steps
        return {
            TIMES: {
                "batches": round(self.batches, 3),
                "steps": round(self.steps, 3),
                "validation": round(self.validation, 3),
                "images_per_second": round(self.images / training, 1) if training > 0 else None,
            }
        }


@dataclass(frozen=True, slots=True)
class FineTuneResult:
    """How a fine-tuning ended.

    Attributes:
        curve: a report for each epoch, in order.
        stopped: True where `on_epoch` asked to stop before the last epoch.
        seconds: wall time of training and validation, with the time before an interruption.
        val_predictions: predicted class index of each validation image, in order, after the last
            epoch that ran; of several labels an image a tuple of such each.
        val_probabilities: float32 (n_val, n_classes), softmax of the outputs for each validation
            image (of several labels sigmoid), in order, after the last epoch that ran; read-only.
            None where nothing was evaluated. It does not count when results are compared.
        times: where the time went; likewise.
    """

    curve: tuple[EpochReport, ...]
    stopped: bool
    seconds: float
    val_predictions: tuple[PredictedLabel, ...] = ()
    val_probabilities: "NDArray[np.float32] | None" = field(default=None, compare=False, repr=False)
    times: TrainingTimes | None = field(default=None, compare=False)

    @property
    def val_accuracy(self) -> float:
        """Validation accuracy of the last epoch, a fraction."""
        return self.curve[-1].val_accuracy

    def score(self, objective: Objective) -> float:
        """Return the score of the last epoch by an objective: larger is better."""
        return self.curve[-1].score(objective)
