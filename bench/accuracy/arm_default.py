"""Arm `default`: one training of the product's plain fine-tuning default."""

import torch

from tlsearch.data import load_catalog, load_training_data
from tlsearch.finetune import FineTuneData, fine_tune, load_weights
from tlsearch.space import resolve
from tlsearch.spec import load_spec

from .answers import Outcome, Unit, model_of, probabilities
from .spec import spec_text


def run(unit: Unit) -> Outcome:
    """Train once, and answer with the last epoch's model."""
    path = unit.folder / "spec.toml"
    path.write_text(spec_text(unit, "default", unit.settings))
    spec, device = load_spec(path), torch.device("cpu")
    checkpoints: list[bytes] = []

    def keep(checkpoint: bytes) -> None:
        checkpoints[:] = [checkpoint]

    with unit.clock.running():
        backbone = unit.backbone()
        images = load_training_data(
            load_catalog(spec.data), spec.recipe.image_size, spec.recipe.eval_crop
        )
        result = fine_tune(
            backbone,
            FineTuneData.on_device(images, device),
            spec.recipe,
            resolve(spec.space, backbone.layers.n_body).plain_default(),
            device,
            on_checkpoint=keep,
        )
    model = model_of(load_weights(checkpoints[0]), unit.prepared.n_classes)
    answer = unit.answer(lambda pixels: probabilities(model, pixels))
    return Outcome(answer, result.seconds, notes={"said": result.val_accuracy})
