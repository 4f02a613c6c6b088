"""Writes the state of a fine-tuning between two steps to bytes, and reads it back.

A checkpoint has the model's state dict (`model.*`), SGD's momentum (`momentum.*`) or AdamW's
moments and steps (`exp_avg.*`, `exp_avg_sq.*`, `adam_step.*`), the average of the weights if there
is one (`average.*`), the generators (`rng.cpu`, `rng.cuda`), the losses of the current epoch
(`losses`) and the training's position. That of a training by folds (`folded`) has these of each
network, and at its end the outputs for the images that were held out (`folds.outputs`). A training
that resumes from it continues as if it had not been interrupted, bit for bit on a CPU.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from tlsearch.backbones import Backbone
from tlsearch.errors import CheckpointError
from tlsearch.finetune.checkpointfile import (
    CheckpointFile,
    TrainingPosition,
    kind,
    read_position,
    sha256,
)
from tlsearch.records import EpochReport, Hyperparameters
from tlsearch.spec import RecipeSpec, without_legacy_values

_AVERAGE = "average."
_MODEL, _CPU, _CUDA, LOSSES = "model.", "rng.cpu", "rng.cuda", "losses"
FOLD_OUTPUTS = "folds.outputs"
_STEP = "step"
# What an optimiser keeps of each parameter, and its name in the file.
_OPTIMIZER = {
    "momentum_buffer": "momentum.",
    "exp_avg": "exp_avg.",
    "exp_avg_sq": "exp_avg_sq.",
    _STEP: "adam_step.",
}


def identity_of(
    backbone: Backbone,
    recipe: RecipeSpec,
    hyperparameters: Hyperparameters,
    n_images: tuple[int, int],
    n_classes: int,
    head: str | None = None,
) -> str:
    """Return a SHA-256 of all that a training depends on, except the device.

    Args:
        backbone: pretrained network; its name and its fingerprint count.
        recipe: what all trials of a study share.
        hyperparameters: what is searched.
        n_images: number of images for training and for validation.
        n_classes: outputs of the classifier.
        head: label of the linear probe that it started as; None = it was random.
    """
    parts = {
        "backbone": [backbone.name, backbone.fingerprint()],
        # Without keys that say what was meant before there were any: older checkpoints still fit.
        "recipe": without_legacy_values("recipe", recipe.model_dump(mode="json")),
        "hyperparameters": Hyperparameters.from_dict(hyperparameters.as_dict()).as_dict(),
        "images": n_images,
        "classes": n_classes,
    }
    if head is not None:  # so checkpoints from before there were heads still fit
        parts["head"] = head
    return sha256(json.dumps(parts, sort_keys=True))


def take(
    identity: str,
    position: TrainingPosition,
    losses: Tensor,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
) -> bytes:
    """Return a checkpoint of this moment; it shares no memory with the model.

    Args:
        identity: of the training, from `identity_of`.
        position: of the training.
        losses: float32 (position.batches,), of the current epoch.
        model: on any device.
        optimizer: of the model's parameters.
        average: of the weights, by state-dict key; empty where the training has none.
    """
    tensors = tensors_of(model, optimizer, average)
    tensors |= {**generators(_device(model)), LOSSES: losses}
    return CheckpointFile(identity, position, copies(tensors)).pack()


def tensors_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors of a network in training by their names in a checkpoint, not copied."""
    tensors = dict(_named(model))
    tensors |= {_AVERAGE + name: tensor for name, tensor in average.items()}
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        tensors |= {
            prefix + name: state[key]
            for key, prefix in _OPTIMIZER.items()
            if state.get(key) is not None
        }
    return tensors


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of a model's tensors on the CPU, by their names in a checkpoint."""
    return copies(_named(model))


def _named(model: nn.Module) -> dict[str, Tensor]:
    return {_MODEL + name: tensor for name, tensor in model.state_dict().items()}


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies on the CPU: safetensors refuses what shares memory, such as tied weights."""
    return {n: t.detach().to("cpu", copy=True).contiguous() for n, t in tensors.items()}


def restore(
    data: bytes,
    identity: str,
    n_epochs: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
) -> tuple[TrainingPosition, Tensor]:
    """Set model, momentum, average and generators to a checkpoint's; return its position.

    Parameters and momentum get the memory format of the model's parameters. If this raises,
    nothing has changed.

    Args:
        data: from `take`; also from `model_only` after the last epoch.
        identity: of the training that resumes.
        n_epochs: epochs of that training.
        model: of the same structure, on any device.
        optimizer: of the model's parameters.
        average: of the weights, by state-dict key, set in place; empty where there is none.

    Returns:
        The position, and the losses of its epoch: float32 (batches,), on the model's device.

    Raises:
        CheckpointError: it is damaged, of another training or format, or has only the model.
    """
    file = unpack(data, identity, n_epochs)
    check_fit(file, model, average)
    losses = put(file, model, optimizer, average)
    set_generators(file.tensors, _device(model))
    return file.position, losses


def unpack(data: bytes, identity: str, n_epochs: int) -> CheckpointFile:
    """Read a checkpoint of a training; raises as `restore`."""
    file = CheckpointFile.unpack(data)
    _check_origin(file, identity, n_epochs)
    return file


def put(
    file: CheckpointFile,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
) -> Tensor:
    """Set model, momentum and average to a checkpoint's that fits; return its losses."""
    model.load_state_dict(file.part(_MODEL))
    for key, prefix in _OPTIMIZER.items():
        for name, value in file.part(prefix).items():
            parameter = model.get_parameter(name)
            optimizer.state[parameter][key] = _as_optimizer_has_it(key, value, parameter)
    for name, tensor in file.part(_AVERAGE).items():
        average[name].copy_(tensor)
    return file.tensors.get(LOSSES, torch.empty(0)).to(_device(model))


def curve_of(data: bytes) -> tuple[EpochReport, ...]:
    """Return the reports of a checkpoint's complete epochs; reads no tensor.

    Raises:
        CheckpointError: it is damaged, or of another format.
    """
    return read_position(data).curve


def model_only(data: bytes) -> bytes:
    """Return a checkpoint of a trained model alone: with its weights, and what its folds said.

    Raises:
        CheckpointError: it is damaged, or of another format.
    """
    file = CheckpointFile.unpack(data)
    kept = {n: t for n, t in file.tensors.items() if n.startswith(_MODEL) or n == FOLD_OUTPUTS}
    return replace(file, tensors=kept).pack()


def load_weights(data: bytes) -> dict[str, Tensor]:
    """Return the model's state dict, on the CPU.

    Args:
        data: from `take` or `model_only`.

    Raises:
        CheckpointError: it is damaged, or of another format.
    """
    return CheckpointFile.unpack(data).part(_MODEL)


def _check_origin(file: CheckpointFile, identity: str, n_epochs: int) -> None:
    if file.identity != identity:
        raise CheckpointError(
            "the checkpoint is of another training: its hyperparameters, recipe, backbone, or "
            "number of images or classes are different"
        )
    done = len(file.position.curve)
    if done < n_epochs and not any(name.endswith(_CPU) for name in file.tensors):
        raise CheckpointError(
            f"the checkpoint has only the model, after {done} of {n_epochs} epochs; training "
            "cannot resume from it"
        )


def check_fit(file: CheckpointFile, model: nn.Module, average: Mapping[str, Tensor]) -> None:
    """Raise unless all required tensors are there, and all have the right type and shape."""
    required = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    if _CPU in file.tensors:
        required |= {_CPU: torch.get_rng_state(), LOSSES: torch.empty(file.position.batches)}
        required |= {_AVERAGE + name: tensor for name, tensor in average.items()}
    known = required | _optional(file, model)
    problems = [f"{name} is missing" for name in required if name not in file.tensors]
    problems += [f"{name} is unknown" for name in file.tensors if name not in known]
    problems += [
        f"{name} is {kind(tensor)} instead of {kind(known[name])}"
        for name, tensor in file.tensors.items()
        if name in known and kind(tensor) != kind(known[name])
    ]
    if problems:
        more = f", and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        raise CheckpointError(f"the checkpoint does not fit the model: {problems[0]}{more}")


def _optional(file: CheckpointFile, model: nn.Module) -> dict[str, Tensor]:
    """Return what may be missing: of parameters without gradients, and CUDA's generator."""
    optional = {
        prefix + name: torch.empty(()) if key == _STEP else parameter
        for key, prefix in _OPTIMIZER.items()
        for name, parameter in model.named_parameters()
    }
    if _CUDA in file.tensors:
        optional[_CUDA] = generators(_device(model)).get(_CUDA, file.tensors[_CUDA])
    return optional


def _as_optimizer_has_it(key: str, value: Tensor, parameter: nn.Parameter) -> Tensor:
    """Return a tensor in the parameter's memory format, on its device; steps stay on the CPU."""
    if key == _STEP:
        return value.clone()
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def generators(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the random generators of a training on this device."""
    states = {_CPU: torch.get_rng_state()}
    if device.type == "cuda":
        states[_CUDA] = torch.cuda.get_rng_state(device)
    return states


def states_in(file: CheckpointFile) -> dict[str, Tensor]:
    """Return the states of the random generators in a checkpoint."""
    return {name: file.tensors[name] for name in (_CPU, _CUDA) if name in file.tensors}


def set_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the random generators to those of a checkpoint, as far as it has them."""
    if _CPU in states:
        torch.set_rng_state(states[_CPU])
    if _CUDA in states and device.type == "cuda":
        torch.cuda.set_rng_state(states[_CUDA], device)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
