"""Fine-tunes one model with one set of hyperparameters."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlsearch.backbones import Backbone
from tlsearch.data import DeviceImages, TrainingData, train_batches
from tlsearch.errors import TrialFailure
from tlsearch.finetune.evaluate import accuracy
from tlsearch.finetune.l2_sp import DecayTerms
from tlsearch.finetune.param_groups import ParameterGroup, group_parameters
from tlsearch.finetune.reinit import initial_model
from tlsearch.finetune.schedule import rate_factor
from tlsearch.records import Decision, EpochReport, FineTuneResult, Hyperparameters
from tlsearch.spec import RecipeSpec

OnEpoch = Callable[[EpochReport], Decision]


@dataclass(frozen=True)
class FineTuneData:
    """Training and validation images on a device, made once and used by many fine-tunings."""

    train: DeviceImages
    val: DeviceImages
    n_classes: int

    @classmethod
    def on_device(cls, data: TrainingData, device: torch.device) -> "FineTuneData":
        """Move the images to the device as uint8."""
        return cls(
            DeviceImages(data.train, device), DeviceImages(data.val, device), len(data.class_names)
        )


def fine_tune(
    backbone: Backbone,
    data: FineTuneData,
    recipe: RecipeSpec,
    hyperparameters: Hyperparameters,
    device: torch.device,
    on_epoch: OnEpoch = lambda _: Decision.CONTINUE,
) -> FineTuneResult:
    """Fine-tune and report the validation accuracy after each epoch.

    Deterministic on a CPU: the same arguments and number of threads give the same curve to the
    last digit. On CUDA the forward pass runs in bfloat16, parameters and decay terms stay fp32.

    Args:
        backbone: pretrained network.
        data: images on `device`.
        recipe: what all trials of a study share.
        hyperparameters: what is searched.
        device: where to train.
        on_epoch: called after each epoch; may ask to stop.

    Raises:
        TrialFailure: `nan` where the loss is not finite, `out_of_memory` where the device is full.
    """
    start = time.monotonic()
    curve: list[EpochReport] = []
    with reproducible(recipe.seed, device), memory_errors(recipe, device):
        training = Training.begin(backbone, data, recipe, hyperparameters, device)
        for epoch in range(1, recipe.epochs + 1):
            loss = training.run_epoch(epoch)
            value = accuracy(training.model, data.val, recipe, backbone.statistics)
            curve.append(EpochReport(epoch, value, loss, time.monotonic() - start))
            if on_epoch(curve[-1]) is Decision.STOP and epoch < recipe.epochs:
                return FineTuneResult(tuple(curve), True, time.monotonic() - start)
    return FineTuneResult(tuple(curve), False, time.monotonic() - start)


@dataclass
class Training:
    """A fine-tuning under way: the model, its optimiser and where it stands."""

    backbone: Backbone
    data: FineTuneData
    recipe: RecipeSpec
    model: nn.Module
    optimizer: torch.optim.SGD
    decay_terms: DecayTerms
    step: int = 0

    @classmethod
    def begin(
        cls,
        backbone: Backbone,
        data: FineTuneData,
        recipe: RecipeSpec,
        hyperparameters: Hyperparameters,
        device: torch.device,
    ) -> "Training":
        model = initial_model(
            backbone, data.n_classes, hyperparameters.reinit_layers, recipe.seed
        ).to(device)
        model = model.to(memory_format=torch.channels_last)
        groups = group_parameters(model, backbone.layers, hyperparameters, recipe.decay_norm)
        decay_terms = DecayTerms(groups, hyperparameters.alpha, hyperparameters.beta)
        return cls(
            backbone, data, recipe, model, _sgd(groups, recipe, hyperparameters), decay_terms
        )

    def run_epoch(self, epoch: int) -> float:
        """Train one epoch and return its mean loss."""
        self.model.train()
        losses = [
            self.run_step(images, labels, self._rate_factor())
            for images, labels in self.batches(epoch)
        ]
        loss = torch.stack(losses).mean().item()
        if not math.isfinite(loss):
            raise TrialFailure("nan", f"the loss is not finite in epoch {epoch}")
        return loss

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch of augmented batches."""
        statistics = self.backbone.statistics
        return train_batches(self.data.train, self.recipe, statistics.mean, statistics.std, epoch)

    def run_step(self, images: Tensor, labels: Tensor, factor: float) -> Tensor:
        """Train on a batch at `factor` times the peak rates and return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        device_type = images.device.type
        with torch.autocast(device_type, torch.bfloat16, enabled=device_type == "cuda"):
            outputs = self.model(images)
        loss = F.cross_entropy(outputs.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.decay_terms.add_to_gradients()
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _rate_factor(self) -> float:
        steps_per_epoch = max(1, len(self.data.train.labels) // self.recipe.batch_size)
        return rate_factor(self.recipe, self.step, steps_per_epoch)


def _sgd(
    groups: list[ParameterGroup], recipe: RecipeSpec, hyperparameters: Hyperparameters
) -> torch.optim.SGD:
    peak = {"low": hyperparameters.low_lr, "high": hyperparameters.high_lr}
    return torch.optim.SGD(
        [
            {"params": list(group.parameters), "lr": 0.0, "peak_lr": peak[group.rate]}
            for group in groups
        ],
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=0.0,
        foreach=True,
    )


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Seed dropout and the like, and give the callers' generators back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def memory_errors(recipe: RecipeSpec, device: torch.device) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrialFailure(
            "out_of_memory",
            f"{device} has too little memory for batch_size = {recipe.batch_size} at "
            f"{recipe.image_size} pixels; lower one of them in the spec",
        ) from error
