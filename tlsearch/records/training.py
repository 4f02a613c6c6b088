"""What the fine-tuning half reports about a training."""

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that commands that train nothing start without it
    import numpy as np
    from numpy.typing import NDArray


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
        val_probabilities: float32 (n_val, n_classes), softmax of the outputs for each validation
            image, in order, after the last epoch that ran; read-only. None where nothing was
            evaluated. It does not count when results are compared.
    """

    curve: tuple[EpochReport, ...]
    stopped: bool
    seconds: float
    val_predictions: tuple[int, ...] = ()
    val_probabilities: "NDArray[np.float32] | None" = field(default=None, compare=False, repr=False)

    @property
    def val_accuracy(self) -> float:
        """Validation accuracy of the last epoch, a fraction."""
        return self.curve[-1].val_accuracy
