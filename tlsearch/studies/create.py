"""Creates studies: checks a spec against its data and network, and writes it to the database."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from optuna.storages import RDBStorage

from tlsearch.artifacts import check_place
from tlsearch.backbones import Backbone, has_linear_head, load_backbone
from tlsearch.dashboard.notes import write_note
from tlsearch.data import (
    Catalog,
    Copy,
    ReadImages,
    content_of_test_images,
    find_copies,
    keep_names,
    load_catalog,
    load_domain,
    load_readable,
)
from tlsearch.errors import BackboneError, DataError, InputError, SpecError, StudyError, described
from tlsearch.finetune import check_recipe
from tlsearch.measures import check_size, random_init_spec
from tlsearch.optuna_ext.history import HIDDEN
from tlsearch.prior import check_overrides
from tlsearch.records import FIXED_FEATURES, QueuedTrial
from tlsearch.sampler import try_sampler
from tlsearch.space import resolve
from tlsearch.spec import (
    StudySpec,
    differences,
    in_words_of,
    load_spec,
    spec_hash,
    to_toml_dict,
)
from tlsearch.store.connect import given_storage, open_storage, resolve_url
from tlsearch.store.stored_study import (
    FLOOR,
    StoredStudy,
    StudyBackbone,
    StudyData,
    to_attrs,
)
from tlsearch.store.studies import NewStudy, find_study, read_study, write_studies
from tlsearch.studies.checked_study import CheckedStudy
from tlsearch.studies.names import check_name
from tlsearch.studies.provenance import provenance
from tlsearch.worker import Progress, measure_study
from tlsearch.worker.materials import check_same_images, reading_images
from tlsearch.worker.progress import HarmlessProgress, SilentProgress

T = TypeVar("T")

_log = logging.getLogger(__name__)
_OPEN = (
    "backbone.candidates, backbone.image_sizes: leave the network open; choose it first: tlsearch "
    "backbones SPEC.toml"
)


def check_study(spec: StudySpec, progress: Progress | None = None) -> CheckedStudy:
    """Check data, network and search space without training.

    Args:
        spec: the spec.
        progress: told what is being read.

    Raises:
        SpecError: with every problem found in any of them.
    """
    problems: list[str] = []
    told = HarmlessProgress(progress or SilentProgress())
    read, copies = _collect(problems, lambda: _verified(spec, told)) or (None, ())
    catalog = None if read is None else read.catalog
    backbone = _collect(problems, lambda: _backbone(spec, told))
    if catalog is not None:
        _collect(problems, lambda: _check_measurable(spec, catalog))
    if catalog is not None and backbone is not None:
        n_train, n_classes = len(catalog.train), len(catalog.class_names)
        _collect(problems, lambda: check_recipe(spec.recipe, backbone, n_train, n_classes))
    space, takes_head = None, True
    if backbone is not None:
        if spec.measures.when != "off":
            _collect(problems, lambda: check_size(backbone))
        n_body, takes_head = backbone.layers.n_body, has_linear_head(backbone)
        optimizer = spec.recipe.optimizer
        space = _collect(problems, lambda: resolve(spec.space, n_body, takes_head, optimizer))
    if space is not None:
        _collect(problems, lambda: check_overrides(spec.prior, space.ranges))
        _collect(problems, lambda: try_sampler(spec.sampler, space))
    _collect(problems, lambda: check_name(spec))
    _collect(problems, lambda: _check_source(spec))
    if backbone is not None:
        for size in spec.measures.sizes:
            _collect(problems, lambda size=size: _check_size(spec, size))  # type: ignore[misc]
    _collect(problems, lambda: check_place(spec.checkpoints.folder or "."))
    if spec.storage is not None:
        _collect(problems, lambda: resolve_url(spec.storage))
    if problems or read is None or backbone is None or space is None:
        raise SpecError(problems)
    return CheckedStudy(
        spec, read.catalog, backbone, space, read.looks, copies, read.left_out, takes_head
    )


def create_study(
    spec: StudySpec | str | Path,
    storage: str | None = None,
    progress: Progress | None = None,
    on_checked: Callable[[CheckedStudy], None] = lambda _: None,
) -> tuple[StoredStudy, bool]:
    """Create a study, or find the one that was created from the same spec.

    Args:
        spec: a spec, or the path of a TOML file.
        storage: a PostgreSQL URL; without one the environment's, the spec's, or the embedded
            server.
        progress: told what happens.
        on_checked: called before a new study is written.

    Returns:
        The study, and whether it was created now.

    Raises:
        SpecError: the spec has problems; nothing is written.
        StudyError: another spec has this name; the message says what differs.
        DataError: the study exists, but its images have changed.
        StorageError: the database cannot be used.
    """
    if not isinstance(spec, StudySpec):
        spec = load_spec(spec)
    if spec.backbone.is_open:
        raise SpecError([_OPEN])
    where = given_storage(storage) or spec.storage
    database = open_storage(where)
    existing = read_study(database, spec.name)
    created = False
    if existing is None:
        checked = check_study(spec, progress)
        on_checked(checked)
        created = write_studies(database, _family(checked))
        existing = find_study(database, spec.name)
        _write_note(database, existing)
    _same_spec(existing, spec)
    if not created:
        _same_images(existing, HarmlessProgress(progress or SilentProgress()))
    if existing.spec.measures.when == "create":
        measure_study(spec.name, where, progress=progress)
    return existing, created


def _write_note(database: RDBStorage, study: StoredStudy) -> None:
    """Write the study's note for the dashboard; the study is there also without one."""
    try:
        write_note(database, study)
    except Exception as error:
        _log.warning("study %r has no note for the dashboard: %s", study.name, described(error))


def _family(checked: CheckedStudy) -> list[NewStudy]:
    """Return the study with its first trials queued, and the one that measures for it."""
    default = QueuedTrial(checked.space.plain_default(), origin="default")
    tests = content_of_test_images(checked.catalog)
    study = NewStudy(checked.spec.name, _attrs(checked, tests), [default], checked.spec.budget)
    measured = checked.spec.measures.when != "off"
    if not measured and not checked.spec.data.multi_label:
        return [study]
    if checked.takes_head:  # otherwise the probe cannot be put on the network
        at = checked.space.nearest_to_fixed_features()
        floor = QueuedTrial(at, FIXED_FEATURES, {HIDDEN: True})  # its value is not of that point
        study = replace(study, attrs={**study.attrs, FLOOR: True}, seeds=[floor, default])
    if not measured:
        return [study]
    n_body_layers = checked.backbone.layers.n_body
    spec = random_init_spec(checked.spec, n_body_layers)
    space = resolve(spec.space, n_body_layers, optimizer=spec.recipe.optimizer)
    attrs = _attrs(replace(checked, spec=spec, space=space), tests)
    random_init = QueuedTrial(space.plain_default(), origin="random_init")
    return [study, NewStudy(spec.name, attrs, [random_init], spec.budget)]


def _same_spec(existing: StoredStudy, spec: StudySpec) -> None:
    spec = in_words_of(existing.spec, spec)
    if spec_hash(existing.spec) == spec_hash(spec):
        return
    differing = differences(to_toml_dict(existing.spec), to_toml_dict(spec))
    raise StudyError(
        f"study {spec.name!r} exists with another spec (stored -> given): {'; '.join(differing)}; "
        "choose another name, or give the spec that it was created from"
    )


def _same_images(existing: StoredStudy, progress: Progress) -> None:
    """Refuse a study whose images have changed; they need not be on this machine."""
    try:
        with reading_images(progress):
            known = existing.data
            catalog = load_catalog(existing.spec.data, known.fingerprint, known.left_out)
    except DataError as error:
        _log.warning("the images of study %r cannot be read here: %s", existing.name, error)
        return
    check_same_images(existing, catalog, existing.spec.data.path)


def _attrs(checked: CheckedStudy, test_sha256: str) -> dict[str, Any]:
    catalog, layers = checked.catalog, checked.backbone.layers.layers
    return to_attrs(
        checked.spec,
        checked.space,
        StudyData(
            class_names=tuple(catalog.class_names),
            fingerprint=catalog.fingerprint,
            n_train=len(catalog.train),
            n_val=catalog.n_validated,
            n_test=len(catalog.test),
            test_sha256=test_sha256,
            left_out=tuple(name for name, _ in checked.left_out),
        ),
        StudyBackbone(tuple(layer.name for layer in layers), checked.backbone.fingerprint()),
        provenance(),
    )


def _check_measurable(spec: StudySpec, catalog: Catalog) -> None:
    n_train, n_classes = len(catalog.train), len(catalog.class_names)
    needs_spread = spec.measures.when != "off" and not spec.data.multi_label  # the Fisher score
    if needs_spread and n_train <= n_classes:
        raise SpecError(
            [
                f"{spec.data.path}: {n_train} training images of {n_classes} classes leave no "
                "spread within a class to measure; add images, or set measures.when = "
                '"off" to search without a prior'
            ]
        )


def _check_source(spec: StudySpec) -> None:
    source = spec.measures.source
    if source is None:
        return
    if source == spec.data.path:
        raise SpecError(
            [
                f"measures.source = {source!r}: is the study's own data; name a folder of images "
                "like those the network was pretrained on, or leave it out"
            ]
        )
    load_domain(source)


def _check_size(spec: StudySpec, size: int) -> None:
    try:
        check_size(load_backbone(spec.backbone.model, spec.backbone.weights, size))
    except BackboneError as error:
        raise SpecError(
            [f"measures.sizes: {spec.backbone.model} cannot take images of {size} pixels ({error})"]
        ) from error


def _verified(spec: StudySpec, progress: Progress) -> tuple[ReadImages, tuple[Copy, ...]]:
    with reading_images(progress):
        read = load_readable(spec.data, spec.recipe)
        copies = find_copies(read.catalog, read.looks)
    keep_names(read.catalog)
    return read, copies


def _backbone(spec: StudySpec, progress: Progress) -> Backbone:
    progress.preparing("loading the pretrained network")
    return load_backbone(spec.backbone.model, spec.backbone.weights, spec.recipe.image_size)


def _collect(problems: list[str], step: Callable[[], T]) -> T | None:
    """Run a check and collect its problems, so that all are reported together."""
    try:
        return step()
    except SpecError as error:
        problems += error.problems
    except InputError as error:
        problems.append(str(error))
    return None
