"""How long a training takes: real steps and validations of a few images, in short bursts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch

from tlsearch.backbones import Backbone
from tlsearch.data import kept_memory
from tlsearch.finetune.batch_norm import clean_sample
from tlsearch.finetune.batch_size import steps_of
from tlsearch.finetune.check import has_batch_norm
from tlsearch.finetune.checkpoint import model_only
from tlsearch.finetune.evaluate import evaluate
from tlsearch.finetune.guards import memory_errors, reproducible
from tlsearch.finetune.images import FineTuneData
from tlsearch.finetune.parts import in_parts_that_fit
from tlsearch.finetune.pass_graph import WARM_UP
from tlsearch.finetune.peak import Peak
from tlsearch.finetune.training import Training
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec

FEWEST_BURSTS, MOST_BURSTS = 3, 9
_RATE = 1e-6  # so low that a loss stays finite


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a training takes at one image size on one device; medians of the bursts.

    Attributes:
        image_size: pixels.
        setup: once a trial, until its first step.
        step_image: a training image of an optimiser step.
        closing_image: a training image that batch-norm statistics are recomputed from.
        val_image: a validation image.
        checkpoint: once an epoch.
        spread: (slowest - fastest) / median of the bursts of steps.
        bursts: how many; 0 = estimated from another size.
        checkpoint_bytes: size of a checkpoint.
        model_bytes: size of a trained model's file.
        peak_bytes: the most memory that the bursts took, of the process or of the GPU (`Peak`),
            with the images of the sample; None where it was not measured.
    """

    image_size: int
    setup: float
    step_image: float
    closing_image: float
    val_image: float
    checkpoint: float
    spread: float
    bursts: int
    checkpoint_bytes: int = 0
    model_bytes: int = 0
    peak_bytes: int | None = None

    def scaled_to(self, image_size: int) -> "Pace":
        """Estimate the pace at another size: the time of an image grows with its pixels."""
        factor = (image_size / self.image_size) ** 2
        return Pace(
            image_size,
            self.setup,
            self.step_image * factor,
            self.closing_image * factor,
            self.val_image * factor,
            self.checkpoint,
            self.spread,
            0,
            self.checkpoint_bytes,
            self.model_bytes,
        )

    def epoch_seconds(self, n_train: int, n_val: int, recipe: RecipeSpec) -> float:
        """Return what an epoch of so many images takes, with validation and checkpoint."""
        steps = steps_of(recipe, n_train)
        return (
            steps.n * steps.images * self.step_image
            + n_closing(n_train, recipe) * self.closing_image
            + n_val * self.val_image
            + self.checkpoint
        )


def n_closing(n_train: int, recipe: RecipeSpec) -> int:
    """Return how many training images batch-norm statistics are recomputed from each epoch."""
    if recipe.batch_norm != "recalibrated":
        return 0
    return sum(map(len, clean_sample(n_train, recipe.seed)))


def sample_size(n_classes: int, recipe: RecipeSpec) -> int:
    """Return how many training images `measure_pace` should be given: a batch, or a few."""
    return max(recipe.batch_size, n_classes + 1)  # fewer allow no batch-norm statistics


def measure_pace(
    backbone: Backbone,
    sample: FineTuneData,
    recipe: RecipeSpec,
    device: torch.device,
    seconds: float,
    on_burst: Callable[[int], None] = lambda _: None,
) -> Pace:
    """Time bursts: the steps of an epoch of the sample, what follows them, and a checkpoint.

    The first bursts warm up and are not counted: one, and where steps are replayed as a CUDA graph
    (`PassGraph`) those until they are. What its recording takes is part of the setup.

    Args:
        backbone: pretrained network, for the recipe's image size.
        sample: a few images on `device`.
        recipe: of the training.
        device: where to train.
        seconds: begin no further burst after them, once there are `FEWEST_BURSTS`.
        on_burst: told the number of each burst that begins.

    Raises:
        TrialFailure: `out_of_memory`.
        SpecError: the network or the images do not allow the recipe.
        RuntimeError: the network cannot take images of this size.
    """
    with memory_errors(recipe, device):
        return in_parts_that_fit(
            backbone,
            recipe,
            len(sample.train),
            device,
            lambda: _pace(backbone, sample, recipe, device, seconds, on_burst),
        )


def _pace(
    backbone: Backbone,
    sample: FineTuneData,
    recipe: RecipeSpec,
    device: torch.device,
    seconds: float,
    on_burst: Callable[[int], None],
) -> Pace:
    plain = Hyperparameters(1, _RATE, 1.0, 0, 0.0, 1e-4, 0)
    began, peak = time.monotonic(), Peak(device)
    found: list[tuple[float, ...]] = []
    with reproducible(recipe.seed, device), kept_memory(device):
        training = Training.begin(backbone, sample, recipe, plain, device)
        setup = time.monotonic() - began
        n_warm = 1 if training.graph is None else WARM_UP + 1
        for number in range(n_warm + MOST_BURSTS):
            if number >= n_warm + FEWEST_BURSTS and time.monotonic() - began > seconds:
                break
            on_burst(number)
            found.append(_burst(training, number + 1))
        checkpoint = training.checkpoint()
    taken = peak.bytes()
    steps, rests, vals, checkpoints = zip(*found[n_warm:], strict=True)
    if training.graph is not None:
        setup += max(0.0, found[WARM_UP][0] - median(steps))
    n_train, n_val = len(sample.train), len(sample.val)
    in_an_epoch = steps_of(recipe, n_train)
    closing = max(0.0, median(rests) - median(vals))
    if n_closing(n_train, recipe) == 0 or not has_batch_norm(backbone):
        closing = 0.0
    return Pace(
        recipe.image_size,
        setup,
        median(steps) / (in_an_epoch.n * in_an_epoch.images),
        closing / max(1, n_closing(n_train, recipe)),
        median(vals) / n_val,
        median(checkpoints),
        (max(steps) - min(steps)) / median(steps),
        len(steps),
        len(checkpoint),
        len(model_only(checkpoint)),
        taken,
    )


def _burst(training: Training, epoch: int) -> tuple[float, float, float, float]:
    """Return the seconds of an epoch's steps, of what follows, of validation alone, and of a
    checkpoint; each ends with a value that is read from the device.
    """
    times = [time.monotonic()]
    loss = training.run_epoch(epoch)
    times.append(time.monotonic())
    training.end_epoch(epoch, loss)
    times.append(time.monotonic())
    evaluate(training.model, training.data.val, training.recipe, training.backbone.statistics)
    times.append(time.monotonic())
    training.checkpoint()
    times.append(time.monotonic())
    steps, rest, val, checkpoint = (b - a for a, b in pairwise(times))
    return steps, rest, val, checkpoint
