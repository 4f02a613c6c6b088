"""Measures what a study would cost, and what fixed features reach, at several image sizes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from tlsearch.backbones import Backbone, load_backbone
from tlsearch.data import Catalog, TrainingData, load_training_data
from tlsearch.data.sample import decode_sample, median_short_side, sample_of
from tlsearch.errors import (
    BackboneError,
    DataError,
    InputError,
    MemoryShortage,
    TrialFailure,
    first_line,
    is_memory_shortage,
)
from tlsearch.finetune import FineTuneData
from tlsearch.finetune.pace import FEWEST_BURSTS, Pace, measure_pace, sample_size
from tlsearch.measures import features_of_splits, fixed_features, right_alone, score_error
from tlsearch.records.format import duration
from tlsearch.records.objective import ACCURACY, Objective, accuracy_or_precision
from tlsearch.records.precision import difference_error, standard_error
from tlsearch.spec import RecipeSpec, StudySpec
from tlsearch.studies.plan_rule import Probe, SizeFacts

FACTORS = (0.75, 1.0, 1.5, 2.0)  # of the spec's size: sizes to look at
_STEP = 16  # pixels: sizes are multiples of it
_SMALLEST, _LARGEST = 32, 1024
_SHARE_OF_PACE = 0.4  # of the time for measuring; the rest is for fixed features
_LOOKED_AT = 64  # images whose stored size is read
_SLOWER = 1.5  # a burst may take this many times what pixels alone say

Say = Callable[[str], None]
Correct = NDArray[np.bool_] | NDArray[np.float64]


def candidate_sizes(image_size: int, native: int | None) -> list[int]:
    """Return the sizes to look at: around the spec's, and the weights' own where it is larger."""
    sizes = {_STEP * max(1, round(factor * image_size / _STEP)) for factor in FACTORS}
    if native is not None and native > image_size:
        sizes.add(native)
    kept = {size for size in sizes if _SMALLEST <= size <= _LARGEST and size != image_size}
    nearly = {size for size in kept if abs(size - image_size) < _STEP}
    return sorted((kept - nearly) | {image_size})


class _OutOfTimeError(Exception):
    """There is no time for what was begun."""


@dataclass
class SizeMeasurer:
    """Measures sizes one after the other until the time is over.

    Args:
        spec: of the study.
        catalog: its images.
        device: where to train.
        seconds: about how long all of it may take. The spec's own size is measured in any case.
        say: told what is going on, before each thing that may take a second.
        objective: what fixed features are compared by; None = accuracy, of several labels mean
            average precision.
        correct: by size, for each validation image, whether a classifier on fixed features is
            right, or what the image is worth to another objective; filled by `measure`.
    """

    spec: StudySpec
    catalog: Catalog
    device: torch.device
    seconds: float
    say: Say
    objective: Objective | None = None
    _began: float = field(default_factory=time.monotonic)
    correct: dict[int, Correct] = field(default_factory=dict)
    _fit_seconds: float = 0.0

    def measure(self, sizes: Sequence[int]) -> list[SizeFacts]:
        """Return what was found out about each size, in their order.

        Raises:
            InputError: the spec's own size cannot be used.
        """
        recipe = self.spec.recipe
        n_classes = len(self.catalog.class_names)
        sample = sample_of(self.catalog, sample_size(n_classes, recipe), recipe.batch_size)
        stored = median_short_side(sample.train[:_LOOKED_AT])
        own = recipe.image_size
        found = {own: self._pace(own, sample, None)}
        if found[own].refused is not None:
            raise InputError(f"recipe.image_size = {own}: {found[own].refused}")
        for size in sorted(set(sizes) - {own}):
            found[size] = self._pace(size, sample, _nearest(found, size))
        for size in sorted(found, key=lambda size: (size != own, size < own, abs(size - own))):
            found[size] = self._probed(found[size], own)
        upscaled = {size: size / recipe.eval_crop > stored + 1 for size in found}
        return [replace(found[size], upscaled=upscaled[size]) for size in sorted(sizes)]

    def _left(self, share: float = 1.0) -> float:
        return share * self.seconds - (time.monotonic() - self._began)

    def _pace(self, size: int, sample: Catalog, near: Pace | None) -> SizeFacts:
        """Time training at a size, or estimate it where there is no time left."""
        recipe = self._recipe(size)
        estimate = near.scaled_to(size) if near is not None else None
        if estimate is not None:
            n_images = len(sample.train) * 2 + len(sample.val)
            burst = _SLOWER * estimate.step_image * n_images
            if (1 + FEWEST_BURSTS) * burst > self._left(_SHARE_OF_PACE):
                return self._estimated(size, estimate, sample)
        self.say(f"timing training at {size} pixels")
        try:
            backbone = self._backbone(size)
            images = decode_sample(sample, size, recipe.eval_crop, recipe.resize)
            pace = measure_pace(
                backbone,
                FineTuneData.on_device(images, self.device),
                recipe,
                self.device,
                self._left(_SHARE_OF_PACE) / 4,
                lambda number: self.say(f"timing training at {size} pixels, burst {number + 1}"),
            )
        except TrialFailure as error:
            return SizeFacts(size, None, refused=str(error))
        except MemoryShortage as error:
            return SizeFacts(size, None, refused=str(error))
        except (BackboneError, RuntimeError, AssertionError, ValueError) as error:
            return SizeFacts(size, None, refused=_cannot_take(size, error))
        return SizeFacts(size, pace, image_bytes=_bytes_of(images))

    def _estimated(self, size: int, estimate: Pace, sample: Catalog) -> SizeFacts:
        try:
            self._backbone(size)
        except BackboneError as error:
            return SizeFacts(size, None, refused=_cannot_take(size, error))
        return SizeFacts(size, estimate, image_bytes=self._image_bytes(sample, size))

    def _probed(self, facts: SizeFacts, own: int) -> SizeFacts:
        """Fit a classifier to features of this size where there is time for it."""
        size, pace = facts.image_size, facts.pace
        if pace is None:
            return facts
        n_images = len(self.catalog.train) + len(self.catalog.val)
        expected = _SLOWER * (n_images * pace.val_image + self._fit_seconds)
        if size != own and expected > self._left():
            return replace(facts, no_probe="no time for fixed features")
        self.say(f"fixed features at {size} pixels ({n_images} images)")
        began = time.monotonic()
        try:
            correct = self._correct_at(size)
        except _OutOfTimeError:
            return replace(facts, no_probe="no time for fixed features")
        except (BackboneError, DataError):
            return replace(facts, no_probe="no fixed features that differ between images")
        except Exception as error:
            if not is_memory_shortage(error):
                raise
            return replace(facts, no_probe="too little memory for fixed features")
        self.correct[size] = correct
        seconds = time.monotonic() - began
        return replace(facts, probe=compared(correct, self.correct.get(own, correct), seconds))

    def _correct_at(self, size: int) -> Correct:
        """Return for each validation image whether a classifier on fixed features is right.

        By another objective it is what the image is worth to it.
        """
        recipe, backbone = self._recipe(size), self._backbone(size)
        train, val = features_of_splits(
            backbone,
            lambda: load_training_data(self.catalog, size, recipe.eval_crop, recipe.resize),
            self.catalog.fingerprint,
            recipe,
            self.device,
            f"data.path {self.spec.data.path}",
            lambda: self._go_on(size),
            folds=self.catalog.folds is not None,
        )
        self.say(f"a linear classifier on fixed features at {size} pixels")
        began = time.monotonic()
        folds = None if self.catalog.folds is None else np.array(self.catalog.folds)
        found = fixed_features(train, val, folds=folds)
        self._fit_seconds = time.monotonic() - began
        several = self.spec.data.multi_label
        objective = self.objective or accuracy_or_precision(several=several)
        return found.right if objective == ACCURACY else found.worth(objective)

    def _go_on(self, size: int) -> None:
        """Say how long it took so far; give up where that is more than was expected."""
        self.say(f"fixed features at {size} pixels, {duration(time.monotonic() - self._began)}")
        if size != self.spec.recipe.image_size and self._left() < 0:
            raise _OutOfTimeError

    def _image_bytes(self, sample: Catalog, size: int) -> float:
        """Return the mean of a decoded image, from a few of them."""
        few, recipe = sample_of(sample, _LOOKED_AT, _LOOKED_AT), self.spec.recipe
        return _bytes_of(decode_sample(few, size, recipe.eval_crop, recipe.resize))

    def _recipe(self, size: int) -> RecipeSpec:
        return self.spec.recipe.model_copy(update={"image_size": size, "eval_size": 0})

    def _backbone(self, size: int) -> Backbone:
        return load_backbone(self.spec.backbone.model, self.spec.backbone.weights, size)


def _cannot_take(size: int, error: Exception) -> str:
    return f"the network cannot take {size} pixels ({first_line(error)})"


def _bytes_of(images: TrainingData) -> float:
    """Return the mean bytes of a decoded image."""
    splits = images.train, images.val
    pixels = sum(canvas.nbytes for split in splits for canvas in split.pixels)
    return pixels / max(1, sum(map(len, splits)))


def _nearest(found: dict[int, SizeFacts], size: int) -> Pace | None:
    paces = [facts.pace for facts in found.values() if facts.pace is not None]
    measured = [pace for pace in paces if pace.bursts]
    return min(measured, key=lambda pace: abs(pace.image_size - size), default=None)


def compared(correct: Correct, own: Correct, seconds: float) -> Probe:
    """Compare a classifier with another one, `own`, on the same n images.

    Both are bool (n,), which images are right; or float64 (n,), what each is worth.
    """
    n = len(correct)
    if correct.dtype != np.bool_:
        gains = correct - own.astype(np.float64)
        errors = score_error(correct.astype(np.float64)), score_error(gains)
        return Probe(float(correct.mean()), errors[0], float(gains.mean()), errors[1], seconds)
    better, worse = right_alone(correct.astype(np.bool_), own.astype(np.bool_))
    accuracy = float(correct.mean())
    return Probe(
        val_accuracy=accuracy,
        error=standard_error(accuracy, n),
        gain=(better - worse) / n,
        gain_error=difference_error(better, worse, n),
        seconds=seconds,
    )
