"""How an attempt at a trial ends here."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from tlsearch.records import Failure, FineTuneResult, PredictedLabel
from tlsearch.records.objective import Figures


@dataclass(frozen=True, slots=True)
class Complete:
    """All epochs are trained.

    Attributes:
        number: of the trial.
        result: how training went.
        checkpoint: of the last epoch, which holds the trained model; None where there is none.
    """

    number: int
    result: FineTuneResult
    checkpoint: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """A linear classifier on fixed features is trained; its model is kept whatever its accuracy.

    Attributes:
        number: of the trial.
        figures: on the validation images.
        val_predictions: class index of each validation image, of several labels a tuple of such.
        val_probabilities: float32 (n_val, n_classes).
        seconds: it took.
        model: the network with the classifier, as a model file.
    """

    number: int
    figures: Figures
    val_predictions: tuple[PredictedLabel, ...]
    val_probabilities: NDArray[np.float32]
    seconds: float
    model: bytes


@dataclass(frozen=True, slots=True)
class Pruned:
    """The pruner stopped the training.

    Attributes:
        result: how training went until then.
    """

    result: FineTuneResult


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An earlier trial trained the same model, so its curve and its result are taken over.

    Attributes:
        original: that trial, complete.
        study: the study of the family that it is in; None = this one.
    """

    original: FrozenTrial
    study: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The training cannot go on.

    Attributes:
        failure: why.
        traceback: of an unexpected exception; None for failures the engine knows.
    """

    failure: Failure
    traceback: str | None = None

    @property
    def may_pass(self) -> bool:
        """Whether another try may succeed: the cause may lie in this machine, not in the trial."""
        return self.traceback is not None or self.failure.kind == "out_of_memory"


@dataclass(frozen=True, slots=True)
class Released:
    """The trial goes back into the queue, and any worker goes on with it.

    Attributes:
        checkpoint: of the step where training stopped; None where there is none of that step.
    """

    checkpoint: bytes | None = None


Ending = Complete | Floor | Pruned | Duplicate | Failed | Released
