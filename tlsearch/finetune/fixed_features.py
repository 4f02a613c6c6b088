"""The pretrained network as it is, with a linear classifier that was trained on its features."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tlsearch.backbones import Backbone, LinearHead, put_head
from tlsearch.finetune.checkpoint import model_tensors
from tlsearch.finetune.checkpointfile import CheckpointFile, TrainingPosition
from tlsearch.finetune.evaluate import Evaluation, evaluate
from tlsearch.finetune.guards import memory_errors
from tlsearch.finetune.images import FineTuneData
from tlsearch.finetune.reinit import initial_model
from tlsearch.spec import RecipeSpec


@dataclass(frozen=True)
class FixedFeaturesModel:
    """The network with the classifier.

    Attributes:
        evaluation: on the validation images.
        file: the same kind of file as that of a trained model; `load_weights` reads it.
    """

    evaluation: Evaluation
    file: bytes


def fixed_features_model(
    backbone: Backbone,
    data: FineTuneData,
    recipe: RecipeSpec,
    head: LinearHead,
    device: torch.device,
    fold_heads: Sequence[LinearHead] = (),
) -> FixedFeaturesModel:
    """Put a classifier on the pretrained network and evaluate it; nothing is trained.

    Where the images have folds, each fold is predicted by a classifier of its own.

    Args:
        backbone: pretrained network.
        data: images on `device`.
        recipe: for the evaluation crop.
        head: the classifier.
        device: where to evaluate.
        fold_heads: where the images have folds, a classifier for each that was fitted to the
            others.

    Raises:
        BackboneError: the classifier does not fit the network.
        TrialFailure: `out_of_memory` if the device is full.
    """
    started = time.monotonic()
    with memory_errors(recipe, device):
        model = initial_model(backbone, data.n_classes, 1, recipe.seed)
        model = model.to(device).to(memory_format=torch.channels_last)
        found = []
        for fold, own_head in enumerate(fold_heads):
            put_head(model, backbone.name, own_head)
            val = data.of_fold(fold).val
            found.append(evaluate(model, val, recipe, backbone.statistics).outputs)
        put_head(model, backbone.name, head)
        if found:
            evaluation = Evaluation.of(data.in_order(found), data.val.labels)
        else:
            evaluation = evaluate(model, data.val, recipe, backbone.statistics)
    position = TrainingPosition(0, 0, (), time.monotonic() - started)
    parts = f"fixed features of {backbone.name} {backbone.fingerprint()} with {head.label}"
    identity = hashlib.sha256(parts.encode()).hexdigest()
    file = CheckpointFile(identity, position, model_tensors(model)).pack()
    return FixedFeaturesModel(evaluation, file)
