"""A running fine-tuning, step by step and epoch by epoch."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor, nn

from tlsearch.backbones import Backbone, LinearHead
from tlsearch.data import mixed_batches, train_batches
from tlsearch.errors import Interrupted, TrialFailure
from tlsearch.finetune.batch_norm import pretrained_batch_norms
from tlsearch.finetune.batch_size import steps_of
from tlsearch.finetune.check import check_recipe
from tlsearch.finetune.checkpoint import identity_of, restore, take
from tlsearch.finetune.checkpointfile import TrainingPosition
from tlsearch.finetune.ema import WeightAverage
from tlsearch.finetune.evaluate import Evaluation, evaluate
from tlsearch.finetune.guards import mixed_precision
from tlsearch.finetune.images import FineTuneData
from tlsearch.finetune.losses import BatchLoss, build_loss
from tlsearch.finetune.optimizer import Decay, build_decay, build_optimizer, set_rates
from tlsearch.finetune.param_groups import group_parameters
from tlsearch.finetune.parts import (
    MOST_AT_ONCE,
    images_at_once,
    parts,
    too_much_at_once,
)
from tlsearch.finetune.pass_graph import PassGraph
from tlsearch.finetune.schedule import rate_factor
from tlsearch.finetune.start import starting_model, starting_recipe
from tlsearch.finetune.stopwatch import Stopwatch
from tlsearch.finetune.validation import validate
from tlsearch.records import EpochReport, FineTuneResult, Hyperparameters
from tlsearch.records.training import TrainingTimes
from tlsearch.spec import RecipeSpec

ShouldStop = Callable[[], bool]


def never() -> bool:
    """Return False: the training continues."""
    return False


@dataclass
class Training:
    """A running fine-tuning: the model, its optimiser and its position.

    Attributes:
        step: number of optimiser steps so far.
        curve: reports of the complete epochs.
        frozen: layers that stay in evaluation mode.
        loss: of a batch.
        average: of the weights; None where the recipe has none.
        at_once: images of a step that pass through the network at once.
        head: label of the linear probe that the classifier started as; None = it was random.
        watch: measures where the time goes.
        graph: replays the passes of whole batches; None on a CPU, and where none is wanted.
        losses: of the batches so far in the current epoch, scalars on the device.
        last: evaluation after the last epoch that ran here; None before the first.
        started: on the monotonic clock, minus the seconds before an interruption.
    """

    backbone: Backbone
    data: FineTuneData
    recipe: RecipeSpec
    hyperparameters: Hyperparameters
    model: nn.Module
    optimizer: torch.optim.Optimizer
    decay_terms: Decay
    loss: BatchLoss
    started: float
    frozen: Sequence[nn.Module] = ()
    average: WeightAverage | None = None
    at_once: int = MOST_AT_ONCE
    head: str | None = None
    step: int = 0
    curve: list[EpochReport] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    last: Evaluation | None = None
    watch: Stopwatch = field(init=False)
    graph: PassGraph | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        device = self.data.train.device
        self.watch = Stopwatch(device)
        self.graph = PassGraph.on(device, self.backbone.name, self.model)

    @classmethod
    def begin(
        cls,
        backbone: Backbone,
        data: FineTuneData,
        recipe: RecipeSpec,
        hyperparameters: Hyperparameters,
        device: torch.device,
        head: LinearHead | None = None,
    ) -> "Training":
        started = time.monotonic()
        recipe = starting_recipe(recipe, backbone, hyperparameters)
        check_recipe(recipe, backbone, len(data.train), data.n_classes)
        model = starting_model(backbone, data.n_classes, recipe, hyperparameters, head)
        model = model.to(device).to(memory_format=torch.channels_last)
        groups = group_parameters(model, backbone.layers, hyperparameters, recipe.decay_norm)
        optimizer = build_optimizer(groups, recipe, hyperparameters)
        decay_terms = build_decay(groups, recipe, hyperparameters, optimizer)
        frozen: Sequence[nn.Module] = ()
        if recipe.batch_norm == "frozen":
            frozen = pretrained_batch_norms(model, backbone.layers, hyperparameters.reinit_layers)
        average = None
        if recipe.ema_epochs:
            steps = steps_of(recipe, len(data.train)).n
            average = WeightAverage(model, recipe.ema_epochs * steps)
        label = head.label if head is not None and hyperparameters.reinit_layers == 0 else None
        return cls(
            backbone,
            data,
            recipe,
            hyperparameters,
            model,
            optimizer,
            decay_terms,
            build_loss(
                recipe,
                data.train.labels,
                data.n_classes,
                weighted=data.train.weights is not None,
            ),
            started,
            frozen,
            average,
            images_at_once(backbone, recipe, device),
            label,
        )

    def restore(self, data: bytes) -> None:
        """Resume from a checkpoint; the decay terms still pull toward the initial weights.

        Raises:
            CheckpointError: it is damaged or of another training.
        """
        position, losses = restore(
            data, self.identity, self.recipe.epochs, self.model, self.optimizer, self.averages
        )
        self.step = position.step
        self.curve = list(position.curve)
        self.losses = list(losses.unbind())
        self.started -= position.seconds

    def checkpoint(self) -> bytes:
        """Return all that a later training needs to resume here."""
        position = TrainingPosition(self.step, len(self.losses), tuple(self.curve), self.seconds)
        losses = torch.stack(self.losses) if self.losses else torch.empty(0)
        return take(self.identity, position, losses, self.model, self.optimizer, self.averages)

    @cached_property
    def identity(self) -> str:
        """A SHA-256 that differs between trainings."""
        n_images = len(self.data.train), len(self.data.val)
        return identity_of(
            self.backbone,
            self.recipe,
            self.hyperparameters,
            n_images,
            self.data.n_classes,
            self.head,
        )

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.started

    def run_epoch(self, epoch: int, should_stop: ShouldStop = never) -> float:
        """Train one epoch, or the rest of it, and return its mean loss.

        Raises:
            TrialFailure: the loss is not finite.
            Interrupted: `should_stop` returned True.
        """
        self.set_training_mode()
        batches = islice(self.batches(epoch), len(self.losses), None)
        while (batch := self._next(batches)) is not None:
            with self.watch.measuring("steps", images=len(batch[0])):
                self.losses.append(self.run_step(*batch, self._rate_factor()))
            if should_stop():
                raise Interrupted(self.checkpoint())
        loss = torch.stack(self.losses).mean().item()
        self.losses.clear()
        if not math.isfinite(loss):
            raise TrialFailure("nan", f"the loss is not finite in epoch {epoch}")
        return loss

    def _next(self, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor] | None:
        with self.watch.measuring("batches"):
            return next(batches, None)

    def set_training_mode(self) -> None:
        """Let dropout and batch norm work as in training, except in frozen layers."""
        self.model.train()
        for layer in self.frozen:
            layer.eval()

    def end_epoch(self, epoch: int, loss: float) -> EpochReport:
        """Evaluate on the validation images, and add a report to the curve.

        After the last epoch the model is the one that was evaluated.
        """
        figures = self.evaluate_epoch(epoch).figures
        self.curve.append(EpochReport.of(epoch, figures, loss, self.seconds))
        return self.curve[-1]

    def evaluate_epoch(self, epoch: int) -> Evaluation:
        """Evaluate on the validation images, as `end_epoch` does."""
        last = epoch == self.recipe.epochs
        statistics = self.backbone.statistics
        with self.watch.measuring("validation"):
            self.last = validate(
                self.model, self.data, self.recipe, statistics, self.average, last=last
            )
        self.watch.times()  # the device is waited for by now, and its events need not pile up
        return self.last

    def result(self, stopped: bool) -> FineTuneResult:
        """Return the curve and the last predictions; evaluates if no epoch ran here."""
        last = self.last or evaluate(
            self.model, self.data.val, self.recipe, self.backbone.statistics
        )
        return result_of(tuple(self.curve), stopped, self.seconds, last, self.watch.times())

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch of augmented batches; labels are indices, or shares of the classes."""
        mean, std = self.backbone.statistics.mean, self.backbone.statistics.std
        n_classes = self.data.n_classes
        plain = train_batches(self.data.train, self.recipe, mean, std, epoch, n_classes)
        return mixed_batches(plain, self.recipe, n_classes, epoch)

    def run_step(self, images: Tensor, labels: Tensor, factor: float) -> Tensor:
        """Train on a batch with `factor` times the peak rates and return its loss."""
        set_rates(self.optimizer, factor)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._add_gradients(images, labels)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm, foreach=True)
        self.decay_terms.before_step()
        self.optimizer.step()
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        return loss

    def _add_gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Add the gradients of a batch's loss, part by part, and return the loss.

        Raises:
            TooMuchAtOnce: a part is out of memory.
        """
        with too_much_at_once():
            if self.graph is not None and len(images) <= self.at_once:
                return self.graph(images, labels, self._by_parts)
            return self._by_parts(images, labels)

    def _by_parts(self, images: Tensor, labels: Tensor) -> Tensor:
        total = torch.zeros((), device=images.device)
        for part, part_labels, share in parts(images, labels, self.at_once):
            with mixed_precision(images.device):
                outputs = self.model(part)
            loss = share * self.loss(outputs.float(), part_labels)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _rate_factor(self) -> float:
        return rate_factor(self.recipe, self.step, steps_of(self.recipe, len(self.data.train)).n)

    @property
    def averages(self) -> Mapping[str, Tensor]:
        """The average of the weights by state-dict key; empty where the recipe has none."""
        return self.average.state if self.average is not None else {}


def result_of(
    curve: tuple[EpochReport, ...],
    stopped: bool,
    seconds: float,
    last: Evaluation,
    times: TrainingTimes,
) -> FineTuneResult:
    """Return a result with the predictions of an evaluation."""
    probabilities = last.probabilities.numpy()
    probabilities.setflags(write=False)
    return FineTuneResult(curve, stopped, seconds, last.predictions, probabilities, times)
