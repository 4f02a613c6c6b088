"""What a worker needs on its own machine before it can run a study's trials."""

from dataclasses import dataclass

import torch

from tlsearch.backbones import Backbone, load_backbone
from tlsearch.data import load_catalog, load_training_data
from tlsearch.errors import DataError, InputError, StudyError
from tlsearch.finetune import FineTuneData
from tlsearch.space import SearchSpace
from tlsearch.spec import DataSpec
from tlsearch.store.stored_study import StoredStudy
from tlsearch.worker.progress import Progress


@dataclass(frozen=True)
class Workplace:
    """The study's data, network and search space, on a device.

    Attributes:
        name: host, process and device, as the database shows this worker.
        device: where to train.
        data_spec: the study's, with the path on this machine.
    """

    name: str
    device: torch.device
    data_spec: DataSpec
    data: FineTuneData
    backbone: Backbone
    space: SearchSpace


def choose_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda` or `cuda:N` names.

    Raises:
        InputError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: is no device; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        n_gpus = torch.cuda.device_count()
        raise InputError(f"--device {name}: this machine has {n_gpus} CUDA devices; use auto")
    return device


def device_name(device: torch.device) -> str:
    """Return what a device is called: `NVIDIA H100 80GB HBM3`; empty for a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def open_workplace(
    study: StoredStudy,
    device: torch.device,
    name: str,
    progress: Progress,
    data_path: str | None = None,
    weights: str | None = None,
) -> Workplace:
    """Load data and network, and make sure that they are those of the study.

    Args:
        study: the study.
        device: where to train.
        name: of the worker.
        progress: told of what is slow.
        data_path: where the study's data are on this machine, if elsewhere.
        weights: where the study's weights are on this machine, if elsewhere.

    Raises:
        DataError: the images differ from those the study was created with.
        BackboneError, StudyError: the network does.
    """
    spec = study.spec.data
    data_spec = spec.model_copy(update={"path": data_path}) if data_path else spec
    return Workplace(
        name=name,
        device=device,
        data_spec=data_spec,
        data=_data(study, data_spec, device, progress),
        backbone=_backbone(study, progress, weights),
        space=study.space,
    )


def _data(
    study: StoredStudy, spec: DataSpec, device: torch.device, progress: Progress
) -> FineTuneData:
    progress.preparing("reading the images")
    recipe = study.spec.recipe
    catalog = load_catalog(spec)
    if catalog.fingerprint != study.data.fingerprint:
        raise DataError(
            f"data.path {spec.path}: these are not the images study {study.name!r} was "
            "created with; restore them, name the right folder with --data, or create a new study"
        )
    images = load_training_data(catalog, recipe.image_size, recipe.eval_crop)
    return FineTuneData.on_device(images, device)


def _backbone(study: StoredStudy, progress: Progress, weights: str | None) -> Backbone:
    progress.preparing("loading the pretrained network")
    spec = study.spec.backbone
    backbone = load_backbone(spec.model, weights or spec.weights, study.spec.recipe.image_size)
    if tuple(layer.name for layer in backbone.layers.layers) != study.backbone.layers:
        raise StudyError(
            f"study {study.name!r}: this version of timm orders the layers of {spec.model} "
            f"otherwise than timm {study.provenance.versions.get('timm')}; install that one"
        )
    if backbone.fingerprint() != study.backbone.weights_sha256:
        raise StudyError(
            f"study {study.name!r}: the weights of {spec.model} here are not those it was created "
            "with; name the right file with --weights, or create a new study"
        )
    return backbone
