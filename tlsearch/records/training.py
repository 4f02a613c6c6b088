"""What the fine-tuning half reports about a training."""

import enum
from dataclasses import dataclass


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
    """

    epoch: int
    val_accuracy: float
    train_loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class FineTuneResult:
    """How a fine-tuning ended.

    Attributes:
        curve: a report for each epoch, in order.
        stopped: True where `on_epoch` asked to stop before the last epoch.
        seconds: wall time of training and validation, with the time before an interruption.
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
