"""Pretrained weights from a file, and how they come to fit a network of another image size.

A file that has the tensors of the network as they are is taken as it is. All others go through
timm's own loader, which knows older names and resamples position embeddings and tables of relative
positions (`checkpoint_filter_fn` of each family); where a family's loader does not, we call timm's
functions for it.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import timm
import torch
from timm.models import clean_state_dict, load_state_dict
from torch import Tensor

from tlsearch.backbones.keys import within
from tlsearch.backbones.models import native_size
from tlsearch.backbones.resample import resampled
from tlsearch.backbones.sizes import size_arguments
from tlsearch.data.pointers import what_instead
from tlsearch.errors import BackboneError, is_memory_shortage

StateDict = Mapping[str, Tensor]

_NESTED = ("state_dict", "model", "state_dict_ema", "model_ema")
_SHOWN = 8  # tensors that an error lists


def read_file(path: Path) -> StateDict:
    """Return the tensors of a .safetensors, .pth or .pt file by name, on the CPU.

    A checkpoint may have them as `state_dict` or `model`; prefixes of wrappers (`module.`,
    `_orig_mod.`) are taken off. No code in the file is run.

    Raises:
        BackboneError: there is no such file, or it has no state dict of tensors.
    """
    if not path.is_file():
        raise BackboneError(
            f"backbone.weights {path}: no such file; give 'timm', 'package:NAME', or a "
            ".safetensors or .pth file"
        )
    try:
        loaded: object = load_state_dict(str(path), use_ema=False, weights_only=True)
    except (AttributeError, TypeError):  # something that has no names
        loaded = None
    except Exception as error:
        if instead := what_instead(path):
            raise BackboneError(f"backbone.weights {path}: {instead}") from error
        raise BackboneError(
            f"backbone.weights {path}: cannot be read as a {path.suffix or 'weights'} file of "
            "tensors only; save the model's state_dict() as .safetensors"
        ) from error
    for key in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if (
        not isinstance(loaded, Mapping)
        or not loaded
        or not all(isinstance(v, Tensor) for v in loaded.values())
    ):
        raise BackboneError(
            f"backbone.weights {path}: has no state dict of tensors; save the model's state_dict()"
        )
    return dict(clean_state_dict({str(key): value for key, value in loaded.items()}))


def fitted(
    state: StateDict,
    model: str,
    image_size: int,
    expected: StateDict,
    classifier: tuple[str, ...],
) -> StateDict:
    """Return tensors of a file as a network of this image size has them.

    Args:
        state: from `read_file`.
        model: timm model name.
        image_size: side of the square images, pixels.
        expected: tensors of the network with two classes, the classifier's too.
        classifier: names of the modules that are the classifier.

    Returns:
        The tensors as they are where all but the classifier's have the names and shapes of the
        network, or where timm cannot make them fit; otherwise those that timm's loader made of
        them, with the file's classifier where it has one under the same name.
    """
    state = _unwrapped(state, expected)
    if not misfits(state, expected, classifier):
        return state
    with warnings.catch_warnings(action="ignore"):  # of torch about timm's interpolation
        for given in (state, resampled(state, expected)):
            for attempt, n_classes in _attempts(given, expected, classifier):
                loaded = _through_timm(attempt, model, image_size, n_classes)
                if loaded is not None:
                    return _with_classifier_of(state, loaded, classifier, n_classes)
    return state


def _with_classifier_of(
    state: StateDict, loaded: StateDict, classifier: tuple[str, ...], n_classes: int
) -> StateDict:
    """Return what was loaded with the file's classifier; the blank one has two classes."""
    kept = {key: tensor for key, tensor in state.items() if within(key, classifier)}
    if not kept and n_classes > 2:
        return loaded
    return {k: tensor for k, tensor in loaded.items() if not within(k, classifier)} | kept


def _attempts(
    state: StateDict, expected: StateDict, classifier: tuple[str, ...]
) -> Iterator[tuple[StateDict, int]]:
    """Yield what to give timm's loader, which wants every tensor, and for how many classes.

    First with the classifier of the blank network, so that it may be missing or of any size. Then,
    since the file may have it under an older name, as it is, with the number of classes that its
    last bias has.
    """
    body = {key: tensor for key, tensor in state.items() if not within(key, classifier)}
    yield body | {key: t for key, t in expected.items() if within(key, classifier)}, 2
    biases = [tensor for tensor in state.values() if tensor.ndim == 1]
    if biases:
        yield state, len(biases[-1])


def _through_timm(
    state: StateDict, model: str, image_size: int, n_classes: int
) -> StateDict | None:
    """Return the tensors of a network that timm's loader filled; None where they do not fit."""
    overlay = {"state_dict": dict(state), "num_classes": n_classes, "label_offset": 0}
    with torch.random.fork_rng(devices=[]), suppress(*_MISFITS):
        try:
            built = timm.create_model(
                model,
                pretrained=True,
                pretrained_cfg_overlay=overlay | {"custom_load": False},
                num_classes=n_classes,
                **size_arguments(model, image_size),
            )
        except RuntimeError as error:
            if is_memory_shortage(error):
                raise MemoryError from error
            return None
        return dict(built.state_dict())
    return None


_MISFITS = (KeyError, ValueError, AssertionError, IndexError, AttributeError, TypeError)


def misfits(state: StateDict, expected: StateDict, classifier: tuple[str, ...]) -> list[str]:
    """Return what of a file's tensors does not fit a network, in words; the classifier's is left.

    Args:
        state: the file's tensors.
        expected: the network's.
        classifier: names of the modules that are the classifier.
    """
    needed = {key: tensor for key, tensor in expected.items() if not within(key, classifier)}
    missing = [f"{key} is missing" for key in needed if key not in state]
    shapes = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in needed.items()
        if key in state and state[key].shape != tensor.shape
    ]
    extra = [
        f"{key} is unknown" for key in state if key not in needed and not within(key, classifier)
    ]
    return [*missing, *shapes, *extra]


def check_fit(
    state: StateDict,
    expected: StateDict,
    classifier: tuple[str, ...],
    model: str,
    weights: str,
    image_size: int,
) -> None:
    """Check that tensors fit a network.

    Raises:
        BackboneError: they do not; it says of what kind they seem to be, and lists some that do not
            fit.
    """
    problems = misfits(state, expected, classifier)
    if not problems:
        return
    shown = "; ".join(problems[:_SHOWN])
    shown += f"; and {len(problems) - _SHOWN} more" * (len(problems) > _SHOWN)
    why = _why(state, expected, classifier, model, image_size)
    raise BackboneError(f"backbone.weights {weights} do not fit {model}{why}: {shown}")


def _why(
    state: StateDict,
    expected: StateDict,
    classifier: tuple[str, ...],
    model: str,
    image_size: int,
) -> str:
    names = [key for key in expected if not within(key, classifier)]
    known = [key for key in names if key in state]
    if len(known) < len(names) / 2:
        return f", they are of another network ({len(known)} of its {len(names)} tensors are there)"
    others = [key for key in known if state[key].shape != expected[key].shape]
    if len(others) == 1 and (channels := _channels(state[others[0]], expected[others[0]])):
        return (
            f", they are for images of {channels} channel{'s' * (channels > 1)} and tlsearch gives "
            "3; choose weights for colour images"
        )
    own = native_size(model)
    if len(known) == len(names) and others and own not in (None, image_size):
        return (
            f" at {image_size} pixels; they are for another image size (the network's own is "
            f"{own} pixels) and cannot be resampled"
        )
    return ""


def _channels(found: Tensor, wanted: Tensor) -> int | None:
    """Return for how many channels the first convolution is, where that alone differs."""
    if found.ndim != 4 or wanted.ndim != 4 or wanted.shape[1] != 3:
        return None
    same = found.shape[0] == wanted.shape[0] and found.shape[2:] == wanted.shape[2:]
    return int(found.shape[1]) if same else None


def _unwrapped(state: StateDict, expected: StateDict) -> StateDict:
    """Take off a prefix that all names share and the network lacks, such as `model.`."""
    first = {key.split(".", maxsplit=1)[0] for key in state}
    if len(first) != 1 or any(key.startswith(f"{next(iter(first))}.") for key in expected):
        return state
    prefix = f"{next(iter(first))}."
    return {key.removeprefix(prefix): tensor for key, tensor in state.items()}
