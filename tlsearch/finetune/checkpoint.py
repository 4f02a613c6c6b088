"""A fine-tuning between two steps as bytes, and back.

A checkpoint holds the model's state dict (`model.*`), SGD's momentum (`momentum.*`), the generators
(`rng.cpu`, `rng.cuda`), the losses of the epoch under way (`losses`) and how far training has come.
With these it goes on as if it had not been interrupted, bit for bit on a CPU.
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
from tlsearch.spec import RecipeSpec

_MODEL, _MOMENTUM, _CPU, _CUDA, _LOSSES = "model.", "momentum.", "rng.cpu", "rng.cuda", "losses"


def identity_of(
    backbone: Backbone,
    recipe: RecipeSpec,
    hyperparameters: Hyperparameters,
    n_images: tuple[int, int],
    n_classes: int,
) -> str:
    """Return a SHA-256 of what a training depends on; the device is no part of it.

    Args:
        backbone: pretrained network; counts with its name and its fingerprint.
        recipe: what all trials of a study share.
        hyperparameters: what is searched.
        n_images: for training, for validation.
        n_classes: outputs of the classifier.
    """
    parts = {
        "backbone": [backbone.name, backbone.fingerprint()],
        "recipe": recipe.model_dump(mode="json"),
        "hyperparameters": Hyperparameters.from_dict(hyperparameters.as_dict()).as_dict(),
        "images": n_images,
        "classes": n_classes,
    }
    return sha256(json.dumps(parts, sort_keys=True))


def take(
    identity: str,
    position: TrainingPosition,
    losses: Tensor,
    model: nn.Module,
    optimizer: torch.optim.SGD,
) -> bytes:
    """Return a checkpoint of exactly this point; it shares no memory with what is trained.

    Args:
        identity: of the training, from `identity_of`.
        position: where it stands.
        losses: float32 (position.batches,), of the epoch under way.
        model: on any device.
        optimizer: of the model's parameters.
    """
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            tensors[_MOMENTUM + name] = buffer
    tensors |= {**_generators(_device(model)), _LOSSES: losses}
    # A copy of each, for safetensors refuses tensors that share memory, such as tied weights.
    copies = {n: t.detach().to("cpu", copy=True).contiguous() for n, t in tensors.items()}
    return CheckpointFile(identity, position, copies).pack()


def restore(
    data: bytes, identity: str, n_epochs: int, model: nn.Module, optimizer: torch.optim.SGD
) -> tuple[TrainingPosition, Tensor]:
    """Bring model, momentum and generators to where they were, and say how far that was.

    Parameters and momentum take on the memory format of the model's parameters. Where a checkpoint
    is refused, nothing has changed.

    Args:
        data: from `take`; from `model_only` too where it holds all epochs.
        identity: of the training that is to go on.
        n_epochs: epochs of that training.
        model: of the same structure, on any device.
        optimizer: of the model's parameters.

    Returns:
        Where training stood, and float32 (batches,) losses on the model's device.

    Raises:
        CheckpointError: damaged, of another training or format, or without what is needed to go on.
    """
    file = CheckpointFile.unpack(data)
    _check_origin(file, identity, n_epochs)
    _check_fit(file, model)
    model.load_state_dict(file.part(_MODEL))
    for name, buffer in file.part(_MOMENTUM).items():
        parameter = model.get_parameter(name)
        like = torch.empty_like(parameter, requires_grad=False)
        optimizer.state[parameter]["momentum_buffer"] = like.copy_(buffer)
    _set_generators(file.tensors, _device(model))
    return file.position, file.tensors.get(_LOSSES, torch.empty(0)).to(_device(model))


def curve_of(data: bytes) -> tuple[EpochReport, ...]:
    """Return the reports of a checkpoint's complete epochs; reads no tensor.

    Raises:
        CheckpointError: damaged, or of another format.
    """
    return read_position(data).curve


def model_only(data: bytes) -> bytes:
    """Return a checkpoint without momentum, generators and losses: what is kept of a trained model.

    Raises:
        CheckpointError: damaged, or of another format.
    """
    file = CheckpointFile.unpack(data)
    kept = {name: tensor for name, tensor in file.tensors.items() if name.startswith(_MODEL)}
    return replace(file, tensors=kept).pack()


def load_weights(data: bytes) -> dict[str, Tensor]:
    """Return the model's state dict, on the CPU.

    Args:
        data: from `take` or `model_only`.

    Raises:
        CheckpointError: damaged, or of another format.
    """
    return CheckpointFile.unpack(data).part(_MODEL)


def _check_origin(file: CheckpointFile, identity: str, n_epochs: int) -> None:
    if file.identity != identity:
        raise CheckpointError(
            "the checkpoint is of another training: its hyperparameters, recipe, backbone, or "
            "number of images or classes differ"
        )
    done = len(file.position.curve)
    if _CPU not in file.tensors and done < n_epochs:
        raise CheckpointError(
            f"the checkpoint holds the model alone, after {done} of {n_epochs} epochs; training "
            "cannot go on from it"
        )


def _check_fit(file: CheckpointFile, model: nn.Module) -> None:
    """Raise unless all that is needed is there, and everything has its type and shape."""
    required = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    if _CPU in file.tensors:
        required |= {_CPU: torch.get_rng_state(), _LOSSES: torch.empty(file.position.batches)}
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
    """A parameter without gradients has no momentum; a CUDA generator is of no use to a CPU."""
    optional: dict[str, Tensor] = {_MOMENTUM + n: p for n, p in model.named_parameters()}
    if _CUDA in file.tensors:
        optional[_CUDA] = _generators(_device(model)).get(_CUDA, file.tensors[_CUDA])
    return optional


def _generators(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that training on a device draws from."""
    states = {_CPU: torch.get_rng_state()}
    if device.type == "cuda":
        states[_CUDA] = torch.cuda.get_rng_state(device)
    return states


def _set_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    if _CPU in states:
        torch.set_rng_state(states[_CPU])
    if _CUDA in states and device.type == "cuda":
        torch.cuda.set_rng_state(states[_CUDA], device)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
