"""Fixed features with a linear classifier: the floor, which a search has to beat."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax

from tlsearch.backbones import LinearHead, has_linear_head, load_backbone
from tlsearch.data import TrainingData, load_catalog, load_training_data
from tlsearch.errors import BackboneError, DataError
from tlsearch.finetune import fixed_features_model
from tlsearch.measures import (
    PROBE_VERSION,
    Features,
    LinearProbe,
    features_of_splits,
    kept_linear_probe,
    logits_of_folds,
    probes_of_folds,
)
from tlsearch.records import Failure, TrainOn
from tlsearch.records.names import FINALISTS_SUFFIX
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.endings import Failed, Floor, Released
from tlsearch.worker.materials import TrainingMaterials, with_val_trained

Probabilities = NDArray[np.float32]


class _StoppedError(Exception):
    """The trial is to be released."""


@dataclass(frozen=True)
class FixedFeatures:
    """The pretrained network of a study as it is, in this process.

    Attributes:
        context: of the worker on that study.
        materials: its images and network.
        train_on: the images that the classifier is fitted to.
    """

    context: WorkerContext
    materials: TrainingMaterials
    train_on: TrainOn = "train"

    @cached_property
    def compared_with(self) -> bool:
        """Whether the trials of the study are compared with them.

        Those of a search are where it has a floor. Finalists have one whether or not the search
        has, unless the network takes no linear classifier.
        """
        study = self.context.study
        are_finalists = study.name.endswith(FINALISTS_SUFFIX)
        return study.has_floor or (are_finalists and has_linear_head(self.materials.backbone))

    @cached_property
    def with_val_trained(self) -> "FixedFeatures":
        """The same, with the validation images among those that are trained on."""
        materials = with_val_trained(self.context, self.materials)
        return FixedFeatures(self.context, materials, "train+val")

    def on(self, train_on: TrainOn) -> "FixedFeatures":
        """Return the same for these training images."""
        return self if train_on == self.train_on else self.with_val_trained

    @cached_property
    def probe(self) -> LinearProbe:
        """The linear classifier, fitted once."""
        return self.fit()

    @cached_property
    def head(self) -> LinearHead:
        """The same for the network."""
        return self._head(self.probe, "" if self.train_on == "train" else f" ({self.train_on})")

    @cached_property
    def fold_heads(self) -> tuple[LinearHead, ...]:
        """Where the images have folds, one for each that was fitted to the others; else none."""
        return tuple(
            self._head(probe, f" but fold {fold}")
            for fold, probe in enumerate(self._fold_probes, start=1)
        )

    @cached_property
    def val_probabilities(self) -> Probabilities:
        """Softmax of the classifier for each validation image, float32 (n_val, n_classes).

        Of several labels an image sigmoid.
        """
        _, val = features_of_study(self.context, self.materials)
        logits = self.probe.logits(val.values) if self._folds is None else self._logits(val)
        several = val.labels.ndim == 2
        shares: Probabilities = expit(logits) if several else softmax(logits, axis=1)
        return shares

    @property
    def _folds(self) -> NDArray[np.int64] | None:
        folds = self.materials.data.folds
        return None if folds is None else folds.numpy()

    @cached_property
    def _fold_probes(self) -> tuple[LinearProbe, ...]:
        if self._folds is None:
            return ()
        features, _ = features_of_study(self.context, self.materials)
        return probes_of_folds(features, self._folds, len(self.context.study.data.class_names))

    def _logits(self, features: Features) -> NDArray[np.float32]:
        assert self._folds is not None
        return logits_of_folds(self._fold_probes, features, self._folds)

    def _head(self, probe: LinearProbe, which: str) -> LinearHead:
        weight, bias = (torch.from_numpy(each) for each in (probe.weight, probe.bias))
        images = self.context.study.data.fingerprint
        return LinearHead(
            weight, bias, f"linear probe {PROBE_VERSION} of the images {images}{which}"
        )

    def fit(self, check: Callable[[], None] = lambda: None) -> LinearProbe:
        """Fit the classifier to the images that are trained on.

        Args:
            check: called now and then; what it raises ends this.

        Raises:
            BackboneError: the network has no pooled features.
            DataError: the images have no features of use, or changed meanwhile.
        """
        train, val = features_of_study(self.context, self.materials, check)
        if self.train_on == "train+val" and self._folds is None:
            train = train.joined(val)
        return kept_linear_probe(train, len(self.context.study.data.class_names))


def run_floor(
    fixed: FixedFeatures, number: int, should_stop: Callable[[], bool]
) -> Floor | Failed | Released:
    """Fit the classifier, and evaluate it on the network.

    Args:
        fixed: of the study.
        number: of the trial.
        should_stop: whether to interrupt this; asked after each batch of images.

    Raises:
        TrialFailure: the device is full.
    """

    def check() -> None:
        if should_stop():
            raise _StoppedError

    started = time.monotonic()
    context, materials = fixed.context, fixed.materials
    try:
        features_of_study(context, materials, check)
        recipe, device = context.study.spec.recipe, context.device
        model = fixed_features_model(
            materials.backbone, materials.data, recipe, fixed.head, device, fixed.fold_heads
        )
        check()
    except _StoppedError:
        return Released()
    except BackboneError as error:
        return Failed(Failure("no_features", str(error)))
    except DataError as error:
        return Failed(Failure("images", str(error)))
    found, seconds = model.evaluation, time.monotonic() - started
    probabilities = found.probabilities.numpy()
    return Floor(number, found.figures, found.predictions, probabilities, seconds, model.file)


def features_of_study(
    context: WorkerContext,
    materials: TrainingMaterials,
    check: Callable[[], None] = lambda: None,
    image_size: int | None = None,
) -> tuple[Features, Features]:
    """Return the features of a study's training and validation images, from the cache if there.

    Args:
        context: of the worker on that study.
        materials: its images and network.
        check: called after each batch; what it raises ends this.
        image_size: side of the square the network sees, pixels; None = that of validation.

    Raises:
        BackboneError: the network has no pooled features, or cannot take this size.
        DataError: the images have no features of use, or changed meanwhile.
    """
    spec, fingerprint = context.study.spec, context.study.data.fingerprint
    recipe, backbone = spec.recipe.for_evaluation(), materials.backbone
    path = materials.data_spec.path
    if image_size is not None and image_size != recipe.image_size:
        recipe = recipe.model_copy(update={"image_size": image_size})
        weights = context.weights or spec.backbone.weights
        backbone = load_backbone(spec.backbone.model, weights, image_size)

    def images() -> TrainingData:
        catalog = load_catalog(materials.data_spec, fingerprint, context.study.data.left_out)
        if catalog.fingerprint != fingerprint:
            raise DataError(f"data.path {path}: the images changed meanwhile")
        return load_training_data(catalog, recipe.image_size, recipe.eval_crop, recipe.resize)

    where, folds = f"data.path {path}", materials.data.folds is not None
    return features_of_splits(
        backbone, images, fingerprint, recipe, context.device, where, check, folds=folds
    )
