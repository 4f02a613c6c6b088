"""The images and the network of a study, loaded on this machine and compared with the study's."""

import logging
from dataclasses import dataclass

from tlsearch.backbones import Backbone, load_backbone
from tlsearch.data import load_catalog, load_for_recipe, passed_text
from tlsearch.errors import DataError, StudyError
from tlsearch.finetune import FineTuneData
from tlsearch.spec import DataSpec
from tlsearch.worker.context import WorkerContext

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingMaterials:
    """What all trials of a study train with.

    Attributes:
        data_spec: the study's `[data]` table, with the path on this machine.
        data: its training and validation images, on the device.
        backbone: its pretrained network.
    """

    data_spec: DataSpec
    data: FineTuneData
    backbone: Backbone


def load_materials(context: WorkerContext) -> TrainingMaterials:
    """Load images and network, and make sure that they are those of the study.

    Raises:
        DataError: the images differ from those the study was created with.
        BackboneError, StudyError: the network does.
    """
    spec = context.study.spec.data
    if context.data_path:
        spec = spec.model_copy(update={"path": context.data_path})
    return TrainingMaterials(spec, _data(context, spec), _backbone(context))


def _data(context: WorkerContext, spec: DataSpec) -> FineTuneData:
    context.progress.preparing("reading the images")
    study = context.study
    catalog = load_catalog(spec, study.data.fingerprint)
    if passed := passed_text(catalog.passed):
        _log.warning("%s: passed over were %s", spec.path, passed, extra={"study": study.name})
    if catalog.fingerprint != study.data.fingerprint:
        raise DataError(
            f"data.path {spec.path}: these are not the images study {study.name!r} was "
            "created with; restore them, name the right folder with --data, or create a new study"
        )
    images = load_for_recipe(catalog, study.spec.recipe)
    return FineTuneData.on_device(images, context.device)


def _backbone(context: WorkerContext) -> Backbone:
    context.progress.preparing("loading the pretrained network")
    study = context.study
    model, weights = study.spec.backbone.model, context.weights or study.spec.backbone.weights
    backbone = load_backbone(model, weights, study.spec.recipe.image_size)
    if tuple(layer.name for layer in backbone.layers.layers) != study.backbone.layers:
        raise StudyError(
            f"study {study.name!r}: this version of timm orders the layers of {model} otherwise "
            f"than timm {study.provenance.versions.get('timm')}; install that one"
        )
    if backbone.fingerprint() != study.backbone.weights_sha256:
        raise StudyError(
            f"study {study.name!r}: the weights of {model} here are not those it was created with; "
            "name the right file with --weights, or create a new study"
        )
    return backbone
