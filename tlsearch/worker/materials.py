"""The images and the network of a study, loaded on this machine and compared with the study's."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tlsearch.backbones import Backbone, load_backbone
from tlsearch.data import (
    Catalog,
    DeviceImages,
    keep_names,
    load_catalog,
    load_for_recipe,
    load_training_data,
    passed_text,
    watched_reading,
    what_changed,
)
from tlsearch.errors import DataError, StudyError
from tlsearch.finetune import FineTuneData
from tlsearch.spec import DataSpec
from tlsearch.store.stored_study import StoredStudy, StudyData
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.progress import Progress

_SECONDS_BETWEEN_COUNTS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingMaterials:
    """What all trials of a study train with.

    Attributes:
        data_spec: the study's `[data]` table, with the path on this machine.
        data: its training and validation images, on the device.
        backbone: its pretrained network.
        catalog: its images on the disk; None where they are not needed.
    """

    data_spec: DataSpec
    data: FineTuneData
    backbone: Backbone
    catalog: Catalog | None = None


def load_materials(context: WorkerContext) -> TrainingMaterials:
    """Load images and network, and make sure that they are those of the study.

    Raises:
        DataError: the images differ from those the study was created with.
        BackboneError, StudyError: the network does.
    """
    spec = context.study.spec.data
    if context.data_path:
        spec = spec.at(context.data_path)
    data, catalog = _data(context, spec)
    return TrainingMaterials(spec, data, _backbone(context), catalog)


def with_val_trained(context: WorkerContext, materials: TrainingMaterials) -> TrainingMaterials:
    """Return materials in which the validation images are trained on as well.

    Where the images have folds, the model that is kept is trained on all of them as it is.

    Raises:
        DataError: the images changed meanwhile.
    """
    if materials.data.folds is not None:
        return materials
    recipe = context.study.spec.recipe
    if recipe.for_evaluation().image_size == recipe.image_size:
        return replace(materials, data=materials.data.with_val())
    known = context.study.data
    catalog = load_catalog(materials.data_spec, known.fingerprint, known.left_out)
    check_same_images(context.study, catalog, materials.data_spec.path)
    images = load_training_data(catalog, recipe.image_size, recipe.eval_crop, recipe.resize)
    val = DeviceImages(images.val, context.device)
    return replace(materials, data=materials.data.with_val(val))


def check_same_images(study: StoredStudy, catalog: Catalog, path: str) -> None:
    """Make sure that images are those a study was created with.

    Raises:
        DataError: they are not; it says which, as far as that is known here.
    """
    if catalog.fingerprint == study.data.fingerprint:
        return
    why = what_changed(catalog, study.data.fingerprint) or _other_numbers(study.data, catalog)
    raise DataError(
        f"data.path {path}: these are not the images study {study.name!r} was created with"
        f"{f': {why}' if why else ''}; restore them, name the right folder with --data, or create "
        "a new study"
    )


def _other_numbers(before: StudyData, now: Catalog) -> str | None:
    """Say how classes and numbers of images differ from those of a study."""
    gone = sorted(set(before.class_names) - set(now.class_names))
    new = sorted(set(now.class_names) - set(before.class_names))
    parts = [f"the class {name} is gone" for name in gone[:3]]
    parts += [f"the class {name} is new" for name in new[:3]]
    numbers = {
        "training": (before.n_train, len(now.train)),
        "validation": (before.n_val, now.n_validated),
        "test": (before.n_test, len(now.test)),
    }
    parts += [
        f"{now} {what} images instead of {n}" for what, (n, now) in numbers.items() if n != now
    ]
    return ", ".join(parts) or None


@contextmanager
def reading_images(progress: Progress) -> Iterator[None]:
    """Tell how many images are read, now and then."""
    said_at = time.monotonic()
    progress.preparing("reading the images")

    def tell(n: int, total: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _SECONDS_BETWEEN_COUNTS:
            said_at = time.monotonic()
            progress.preparing(f"reading the images, {n} of {total}")

    with watched_reading(tell):
        yield


def _data(context: WorkerContext, spec: DataSpec) -> tuple[FineTuneData, Catalog]:
    study = context.study
    with reading_images(context.progress):
        catalog = load_catalog(spec, study.data.fingerprint, study.data.left_out)
        if passed := passed_text(catalog.passed):
            _log.warning("%s: passed over were %s", spec.path, passed, extra={"study": study.name})
        check_same_images(study, catalog, spec.path)
        images = load_for_recipe(catalog, study.spec.recipe)
    keep_names(catalog)
    return FineTuneData.on_device(images, context.device), catalog


def _backbone(context: WorkerContext) -> Backbone:
    context.progress.preparing("loading the pretrained network")
    return load_study_backbone(context.study, context.weights)


def load_study_backbone(study: StoredStudy, weights: str | None = None) -> Backbone:
    """Load the network of a study, and make sure that it is the one it was created with.

    Args:
        study: the study.
        weights: where they are on this machine, if not where the spec says.

    Raises:
        BackboneError: it cannot be loaded.
        StudyError: its layers or weights are others.
    """
    model = study.spec.backbone.model
    where = weights or study.spec.backbone.weights
    backbone = load_backbone(model, where, study.spec.recipe.image_size)
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
