"""Exports the model of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from pathlib import Path

from tlsearch import __version__
from tlsearch.backbones import ExportedNetwork, build, input_statistics
from tlsearch.data import Catalog, stored_size
from tlsearch.errors import DataError, ExportError
from tlsearch.export.card import CardFacts, model_card
from tlsearch.export.card_sections import finals_section, test_section
from tlsearch.export.check import Checked, checked, compare, study_images
from tlsearch.export.folder import check_out, new_folder
from tlsearch.export.networks import write_manifest, write_networks
from tlsearch.export.onnx_file import check_onnx_packages, write_onnx
from tlsearch.export.origin import Origin, origin_of
from tlsearch.export.plain_timm import SeenOtherwise, seen_otherwise
from tlsearch.export.source import Choice, Source, choose, read_state
from tlsearch.predict import load
from tlsearch.predict.exported import Exported, Member, Preprocessing
from tlsearch.records.finals import Finals
from tlsearch.records.names import FINALISTS_SUFFIX
from tlsearch.records.tested import TestResult
from tlsearch.store.stored_study import StoredStudy
from tlsearch.studies.finals import read_finals
from tlsearch.studies.read import StudyReader
from tlsearch.studies.tested import read_tests

CARD = "README.md"
MOST_DIFFERENCE = 1e-4  # of probabilities, between ONNX Runtime and torch
_NO_IMAGES_LEFT = (
    "with data.folds the model is trained on all images but the test images, so none are left to "
    "check it by; its accuracy is that of the networks of the folds"
)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What was exported.

    Attributes:
        folder: where it is.
        exported: what it is.
        checked: what the files do on the validation images; None where these are not here.
        not_checked: why these are not here; None where they are.
        onnx_difference: of probabilities under ONNX Runtime from torch's, at most; None without
            a graph.
        timm: the study's images that plain timm sees otherwise; None where these are not here.
        licence: of the pretrained weights; None where nothing states it.
    """

    folder: Path
    exported: Exported
    checked: Checked | None
    not_checked: str | None
    onnx_difference: float | None
    timm: SeenOtherwise | None
    licence: str | None


def export_study(
    study_name: str,
    out: str | PathLike[str],
    storage: str | None = None,
    *,
    trial: int | None = None,
    answer: bool = False,
    onnx: bool = False,
    force: bool = False,
    artifacts: str | None = None,
    data: str | None = None,
    base_model: str | None = None,
    licence: str | None = None,
    say: Say = lambda _: None,
) -> ExportedModel:
    """Write the model of a study into a folder, whole or not at all.

    timm loads each network bit by bit as it was trained, which is checked. Where the study's
    images are on this machine, the exported files predict the validation images.

    Args:
        study_name: the study.
        out: the folder; new or empty.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        trial: a trial whose model is kept; None = what the study recommends.
        answer: the recommended answer of the search, though it may have finalists.
        onnx: write `model.onnx` too, and compare it with torch on the validation images.
        force: replace an earlier export of the same study.
        artifacts: where files of trials lie; None = the environment's, the study's, or the
            default.
        data: where the study's images are on this machine; None = where its spec says.
        base_model: name of the pretrained weights on the hub, for the card; None = timm's.
        licence: of the pretrained weights; None = what timm or their package states.
        say: is told what is being done.

    Raises:
        StudyError: no such study.
        ExportError: there is no such model, the folder is not free or cannot be written, or the
            ONNX graph differs from torch.
        DataError: the images are not those of the study, or `onnx` needs them and they are not
            there.
        StorageError: the database or the files of trials cannot be reached.
    """
    if answer and trial is not None:
        raise ExportError("give a trial or the recommended answer, not both")
    target = Path(out).expanduser()
    say("reading the study")
    reader = StudyReader(study_name, storage)
    finals = None if answer else read_finals(study_name, storage)
    finalists = None if finals is None else StudyReader(study_name + FINALISTS_SUFFIX, storage)
    choice = choose(reader, trial, finals, finalists)
    origin = origin_of(reader.study.spec.backbone, base_model, licence)
    check_out(target, reader.study.name, force=force)
    if onnx:
        check_onnx_packages()
    say("reading the images")
    catalog, missing = _images(reader.study, data, needed=onnx or data is not None)
    with new_folder(target) as folder:
        say("writing the networks")
        exported = _write_networks(folder, reader.study, choice, origin, artifacts)
        difference = None
        if onnx and catalog is not None:
            say("writing the ONNX graph, and comparing it with torch")
            exported, difference = _add_onnx(folder, exported, catalog)
        found = None
        if reader.study.spec.data.folds:
            missing = missing or _NO_IMAGES_LEFT
        elif catalog is not None:
            say("predicting the validation images by the exported files")
            found = checked(load(folder), catalog)
        more = _results(finals, read_tests(study_name, storage))
        say("looking for images that plain timm sees otherwise")
        timm = None if catalog is None else seen_otherwise(catalog, exported.preprocessing)
        facts = CardFacts(reader.study, choice, exported, found, origin, timm, more)
        card = model_card(facts).encode("utf-8", "backslashreplace")
        (folder / CARD).write_bytes(card)
    return ExportedModel(target, exported, found, missing, difference, timm, origin.licence)


def _results(finals: Finals | None, tests: Sequence[TestResult]) -> dict[str, str]:
    """Return the sections of the card on finalists and on the test images."""
    sections = {} if finals is None else {"Over several seeds": finals_section(finals)}
    return sections | ({"On test images": test_section(tests)} if tests else {})


def _images(
    study: StoredStudy, data: str | None, *, needed: bool
) -> tuple[Catalog | None, str | None]:
    """Find the study's images; where they are not needed, say why they are not here."""
    try:
        return study_images(study, data), None
    except DataError as error:
        if needed:
            raise
        return None, str(error)


def _write_networks(
    folder: Path, study: StoredStudy, choice: Choice, origin: Origin, artifacts: str | None
) -> Exported:
    places = [str(n) for n in range(1, len(choice.sources) + 1)]
    places = places if len(places) > 1 else ["."]
    members = tuple(map(_member, choice.sources, places))
    networks = (_network(source, origin, artifacts) for source in choice.sources)
    return write_networks(folder, _exported(study, choice, members), networks)


def _network(source: Source, origin: Origin, artifacts: str | None) -> ExportedNetwork:
    spec = source.study.spec
    recipe = spec.recipe.for_evaluation()
    return ExportedNetwork(
        spec.backbone.model,
        read_state(source, artifacts),
        source.study.data.class_names,
        recipe.image_size,
        stored_size(recipe.image_size, recipe.eval_crop),
        origin.licence,
    )


def _member(source: Source, folder: str) -> Member:
    return Member(
        folder,
        source.study.spec.backbone.model,
        "fixed_features" if source.is_floor else "trial",
        source.study.name,
        source.trial.number,
        source.trial.val_accuracy,
    )


def _exported(study: StoredStudy, choice: Choice, members: tuple[Member, ...]) -> Exported:
    return Exported(
        study.name,
        choice.kind,
        members,
        study.data.class_names,
        _preprocessing(choice.sources[0].study),
        choice.val_accuracy,
        study.data.n_val,
        {"tlsearch": __version__, "torch": version("torch"), "timm": version("timm")},
        {},
        study.spec.data.multi_label,
    )


def _preprocessing(study: StoredStudy) -> Preprocessing:
    recipe = study.spec.recipe.for_evaluation()
    model = build(study.spec.backbone.model, 2, 0, recipe.image_size)
    statistics = input_statistics(model)
    return Preprocessing(
        recipe.image_size,
        stored_size(recipe.image_size, recipe.eval_crop),
        statistics.mean,
        statistics.std,
        study.spec.data.bit_depth,
        resize=recipe.resize,
    )


def _add_onnx(folder: Path, exported: Exported, catalog: Catalog) -> tuple[Exported, float]:
    write_onnx(folder, exported)
    exported = write_manifest(folder, exported)
    both = load(folder, device="cpu"), load(folder, device="cpu", onnx=True)
    return exported, compare(*both, catalog, MOST_DIFFERENCE)
