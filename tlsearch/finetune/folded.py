"""A fine-tuning by folds: one network a fold, epoch by epoch, and one more for keeps.

Each network is trained on all folds but one and predicts that one, so each image is predicted once,
by a network that has not seen it. What is reported is of all these predictions together (Stone,
"Cross-validatory choice and assessment of statistical predictions", 1974). The model that is kept
is one more network, trained on all images with the same recipe; its predictions count nowhere.
Each network has random generators of its own, so none depends on whether the others are there.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

import torch
from torch import Tensor

from tlsearch.backbones import Backbone, LinearHead
from tlsearch.data import seed_from
from tlsearch.errors import CheckpointError, Interrupted
from tlsearch.finetune.checkpoint import (
    FOLD_OUTPUTS,
    LOSSES,
    check_fit,
    copies,
    generators,
    put,
    set_generators,
    states_in,
    tensors_of,
    unpack,
)
from tlsearch.finetune.checkpointfile import CheckpointFile, TrainingPosition, sha256
from tlsearch.finetune.evaluate import Evaluation, evaluate
from tlsearch.finetune.images import FineTuneData
from tlsearch.finetune.training import ShouldStop, Training, never, result_of
from tlsearch.records import EpochReport, FineTuneResult, Hyperparameters
from tlsearch.records.training import TrainingTimes
from tlsearch.spec import RecipeSpec

_FOLDS, _STEPS, _MEANS = "folds.", "folds.steps", "folds.losses"
_SEEDS = 2**31  # as the recipe's


@dataclass
class FoldedTraining:
    """A running fine-tuning by folds, with the interface of `Training`.

    Attributes:
        data: all images, with their folds.
        recipe: of the study.
        folds: the training of each fold's network.
        whole: the training of the network that is kept; None where none is.
        states: of the random generators of each network.
        started: on the monotonic clock, minus the seconds before an interruption.
        curve: reports of the complete epochs.
        losses: mean loss of each network that is through with the current epoch, in order.
        last: evaluation of all images after the last epoch; None before the first.
    """

    data: FineTuneData
    recipe: RecipeSpec
    folds: Sequence[Training]
    whole: Training | None
    states: list[dict[str, Tensor]]
    started: float
    curve: list[EpochReport] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    last: Evaluation | None = None

    @classmethod
    def begin(
        cls,
        backbone: Backbone,
        data: FineTuneData,
        recipe: RecipeSpec,
        hyperparameters: Hyperparameters,
        device: torch.device,
        head: LinearHead | None = None,
        fold_heads: Sequence[LinearHead] = (),
        *,
        keep_model: bool = True,
    ) -> "FoldedTraining":
        """Begin; the arguments are those of `fine_tune`."""
        started = time.monotonic()
        heads: Sequence[LinearHead | None] = fold_heads or [None] * data.n_folds
        parts: list[tuple[FineTuneData, RecipeSpec, LinearHead | None]] = [
            (data.of_fold(fold), seeded(recipe, fold), heads[fold]) for fold in range(data.n_folds)
        ]
        if keep_model:
            parts.append((data, recipe, head))
        networks, states = [], []
        for part, own, own_head in parts:
            torch.manual_seed(own.seed)
            networks.append(Training.begin(backbone, part, own, hyperparameters, device, own_head))
            states.append(generators(device))
        whole = networks.pop() if keep_model else None
        return cls(data, recipe, networks, whole, states, started)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.started

    @property
    def networks(self) -> list[Training]:
        """The trainings in the order in which each epoch goes through them."""
        return [*self.folds, *([] if self.whole is None else [self.whole])]

    @cached_property
    def identity(self) -> str:
        """A SHA-256 that differs between trainings."""
        whole = "" if self.whole is None else self.whole.identity
        return sha256(" ".join(["folds", *(fold.identity for fold in self.folds), whole]))

    def run_epoch(self, epoch: int, should_stop: ShouldStop = never) -> float:
        """Train each network for one epoch, or the rest of it; return the mean loss of the folds.

        Raises:
            TrialFailure: a loss is not finite.
            Interrupted: `should_stop` returned True.
        """
        for number, network in list(enumerate(self.networks))[len(self.losses) :]:
            set_generators(self.states[number], self._device)
            self.losses.append(network.run_epoch(epoch, self._stopping(number, should_stop)))
            self.states[number] = generators(self._device)
            network.optimizer.zero_grad(set_to_none=True)  # the next one needs the memory
            if network.graph is not None:
                network.graph.release()
        loss = fmean(self.losses[: len(self.folds)])
        self.losses.clear()
        return loss

    def end_epoch(self, epoch: int, loss: float) -> EpochReport:
        """Predict each fold, and add a report on all images to the curve."""
        self.last = self._pooled([network.evaluate_epoch(epoch) for network in self.folds])
        if self.whole is not None and epoch == self.recipe.epochs:
            self.whole.evaluate_epoch(epoch)  # so that it is the model that an evaluation sees
        self.curve.append(EpochReport.of(epoch, self.last.figures, loss, self.seconds))
        return self.curve[-1]

    def result(self, stopped: bool) -> FineTuneResult:
        """Return the curve and the last predictions; evaluates if no epoch ran here."""
        if self.last is None:
            self.last = self._pooled(
                [
                    evaluate(each.model, each.data.val, each.recipe, each.backbone.statistics)
                    for each in self.folds
                ]
            )
        times = _sum([network.watch.times() for network in self.networks])
        return result_of(tuple(self.curve), stopped, self.seconds, self.last, times)

    def checkpoint(self) -> bytes:
        """Return all that a later training needs to resume here."""
        tensors: dict[str, Tensor] = {}
        for (prefix, network), state in zip(self._named(), self.states, strict=True):
            own = tensors_of(network.model, network.optimizer, network.averages) | state
            own[LOSSES] = torch.stack(network.losses) if network.losses else torch.empty(0)
            tensors |= {prefix + name: tensor for name, tensor in own.items()}
        tensors[_STEPS] = torch.tensor([network.step for network in self.networks])
        tensors[_MEANS] = torch.tensor(self.losses, dtype=torch.float64)
        if self.last is not None and len(self.curve) == self.recipe.epochs:
            tensors[FOLD_OUTPUTS] = self.last.outputs
        batches = sum(len(network.losses) for network in self.networks)
        steps = sum(network.step for network in self.networks)
        position = TrainingPosition(steps, batches, tuple(self.curve), self.seconds)
        return CheckpointFile(self.identity, position, copies(tensors)).pack()

    def restore(self, data: bytes) -> None:
        """Resume from a checkpoint; if it raises, nothing has changed.

        Raises:
            CheckpointError: it is damaged or of another training.
        """
        file = unpack(data, self.identity, self.recipe.epochs)
        outputs = file.tensors.get(FOLD_OUTPUTS)
        if _STEPS not in file.tensors and outputs is None:
            raise CheckpointError("the checkpoint does not fit: it is of no training by folds")
        if outputs is not None:
            self.last = Evaluation.of(outputs.to(self.data.val.device), self.data.val.labels)
        if _STEPS in file.tensors:
            self._restore(file)
        self.curve = list(file.position.curve)
        self.started -= file.position.seconds

    def _restore(self, file: CheckpointFile) -> None:
        parts = []
        for prefix, network in self._named():
            part = _part(file, prefix)
            check_fit(part, network.model, network.averages)
            parts.append(part)
        steps = file.tensors[_STEPS].tolist()
        for network, part, step in zip(self.networks, parts, steps, strict=True):
            losses = put(part, network.model, network.optimizer, network.averages)
            network.losses, network.step = list(losses.unbind()), step
        self.states = [states_in(part) for part in parts]
        self.losses = file.tensors[_MEANS].tolist()

    @property
    def _device(self) -> torch.device:
        return self.data.train.device

    def _stopping(self, number: int, should_stop: ShouldStop) -> ShouldStop:
        """Return what interrupts a network's training with a checkpoint of all."""

        def check() -> bool:
            if should_stop():
                self.states[number] = generators(self._device)
                raise Interrupted(self.checkpoint())
            return False

        return check

    def _named(self) -> Iterator[tuple[str, Training]]:
        """Yield each network with what its tensors' names in a checkpoint begin with."""
        yield from ((f"{_FOLDS}{number}.", each) for number, each in enumerate(self.folds, start=1))
        if self.whole is not None:
            yield "", self.whole

    def _pooled(self, found: Sequence[Evaluation]) -> Evaluation:
        """Put the predictions of the folds into the order of the images."""
        outputs = self.data.in_order([each.outputs for each in found])
        return Evaluation.of(outputs, self.data.val.labels)


def seeded(recipe: RecipeSpec, fold: int) -> RecipeSpec:
    """Return the recipe with a seed of the fold's own, so that chance is averaged over, too."""
    return recipe.model_copy(update={"seed": seed_from(recipe.seed, "fold", fold) % _SEEDS})


def _part(file: CheckpointFile, prefix: str) -> CheckpointFile:
    """Return the part of a checkpoint that one network has."""
    tensors: Mapping[str, Tensor] = file.part(prefix)
    if not prefix:
        tensors = {n: t for n, t in tensors.items() if not n.startswith(_FOLDS)}
    batches = len(tensors.get(LOSSES, ()))
    position = TrainingPosition(0, batches, file.position.curve, file.position.seconds)
    return CheckpointFile(file.identity, position, tensors)


def _sum(times: Sequence[TrainingTimes]) -> TrainingTimes:
    return TrainingTimes(
        math.fsum(each.batches for each in times),
        math.fsum(each.steps for each in times),
        math.fsum(each.validation for each in times),
        sum(each.images for each in times),
    )
