"""Tests the finalists of a study on its test images: once."""

from dataclasses import dataclass

import torch
from optuna.storages import RDBStorage

from tlsearch.artifacts import Artifacts, artifacts_place, default_folder, open_artifacts
from tlsearch.data import (
    Catalog,
    DeviceImages,
    content_of_test_images,
    load_catalog,
    load_for_recipe,
)
from tlsearch.data.held_out import check_test_images, load_test_images
from tlsearch.data.imageset import ImageSet
from tlsearch.errors import CheckpointError, DataError, MemoryShortage, StudyError, TrialFailure
from tlsearch.evaluation import Bench, Predicted, ways_beside, ways_of
from tlsearch.finetune import FineTuneData
from tlsearch.records import TrainOn
from tlsearch.records.finals import MEAN, Finals
from tlsearch.records.tested import TestResult
from tlsearch.report.csv_file import as_csv
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.test_results import read_test_results, write_test_result
from tlsearch.studies.contenders import Contender, bad_model, check_files, load_states
from tlsearch.studies.test_files import PICTURE, TABLE, keep_files
from tlsearch.studies.test_tables import TestTables, Tried
from tlsearch.worker.context import choose_device
from tlsearch.worker.materials import check_same_images, load_study_backbone, reading_images
from tlsearch.worker.progress import Progress


@dataclass(frozen=True)
class TestPlace:
    """Where a study is tested.

    Attributes:
        database: Optuna's storage.
        study: the search.
        device: where to predict.
        artifacts: where models lie.
        place: the same in words.
        progress: told what happens.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
    """

    __test__ = False

    database: RDBStorage
    study: StoredStudy
    device: torch.device
    artifacts: Artifacts
    place: str
    progress: Progress
    data_path: str | None = None
    weights: str | None = None

    @classmethod
    def of(
        cls,
        database: RDBStorage,
        study: StoredStudy,
        progress: Progress,
        device: str = "auto",
        data_path: str | None = None,
        weights: str | None = None,
        artifacts: str | None = None,
    ) -> "TestPlace":
        """Open the place of the study's files, and choose the device."""
        where = artifacts_place(artifacts, study.spec.checkpoints.folder)
        return cls(
            database,
            study,
            choose_device(device),
            open_artifacts(where, writable=False),
            where or str(default_folder()),
            progress,
            data_path,
            weights,
        )


def check_images(at: TestPlace) -> tuple[Catalog, str]:
    """Return the images of a study and a hash of its test images, if they are the right ones.

    Raises:
        DataError: they are not those that the study was created with or that were tested before,
            or some class has no test image.
    """
    spec = at.study.spec.data
    spec = spec.model_copy(update={"path": at.data_path}) if at.data_path else spec
    with reading_images(at.progress):
        created = at.study.data
        catalog = load_catalog(spec, created.fingerprint, created.left_out)
        check_same_images(at.study, catalog, spec.path)
        check_test_images(catalog)
        content = content_of_test_images(catalog)
    earlier = read_test_results(at.database.engine, at.study.study_id)
    known = {at.study.data.test_sha256, *(result.images_sha256 for result in earlier)}
    if known - {None, "", content}:
        raise DataError(
            f"data.path {spec.path}: the test images have changed since study "
            f"{at.study.name!r} was created; restore them, or name the right folder with --data"
        )
    return catalog, content


def run_test(
    at: TestPlace,
    catalog: Catalog,
    content: str,
    finals: Finals,
    contenders: list[Contender],
    train_on: TrainOn,
    *,
    again: bool,
) -> TestResult:
    """Predict the test images, and record what comes out.

    Args:
        at: where.
        catalog: the images, checked.
        content: a hash of the test images.
        finals: for what is recommended, and the winner.
        contenders: what is tested, the recommended one first.
        train_on: what their models were trained on; `train+val` where the images have folds.
        again: whether to look again where somebody did meanwhile.

    Raises:
        StudyError: a model is gone or damaged; nothing is recorded.
        DataError: images cannot be read.
        MemoryShortage: the device is full.
    """
    check_files(at.artifacts, at.place, contenders)
    at.progress.preparing("reading the images")
    with reading_images(at.progress):
        data = FineTuneData.on_device(load_for_recipe(catalog, at.study.spec.recipe), at.device)
        images = load_test_images(catalog, at.study.spec.recipe)
    at.progress.preparing("loading the pretrained network")
    bench = _bench(at, data, images, train_on)
    answer, *others = _answer_first(_tried(at, bench, finals, contenders), finals.recommended)
    tables = TestTables(
        study=at.study.name,
        trained_on=train_on,
        answer=answer,
        others=tuple(others),
        class_names=at.study.data.class_names,
        refs=catalog.test,
        labels=images.labels,
        val_labels=data.val.labels.cpu().numpy(),
        images_sha256=content,
    )
    return _record(at, tables, images, again)


def _bench(at: TestPlace, data: FineTuneData, images: ImageSet, train_on: TrainOn) -> Bench:
    clean = data.clean or data.train
    return Bench.of(
        load_study_backbone(at.study, at.weights),
        at.study.spec.recipe,
        data.n_classes,
        DeviceImages(images, at.device),
        data.val if train_on == "train" else None,
        clean if train_on == "train" or data.folds is not None else clean.joined(data.val),
    )


def _tried(at: TestPlace, bench: Bench, finals: Finals, contenders: list[Contender]) -> list[Tried]:
    """Try every contender, and the mean of fixed features and the winner."""
    kept: dict[str, list[Predicted]] = {}
    found = []
    for number, contender in enumerate(contenders, start=1):
        at.progress.preparing(f"testing {contender.name} ({number} of {len(contenders)})")
        tried, kept[contender.name] = _try(at, bench, contender)
        found.append(tried)
    fixed = next((c for c in contenders if c.params is None), None)
    winner = next((c for c in contenders if c.name == finals.winner), None)
    if fixed is not None and winner is not None:
        several = at.study.spec.data.multi_label
        ways = ways_beside(kept[fixed.name][0], kept[winner.name], several=several)
        found.append(Tried(MEAN, _seeds(winner), tuple(ways)))
    return found


def _answer_first(tried: list[Tried], answer: str | None) -> list[Tried]:
    return sorted(tried, key=lambda each: each.name != answer)


def _try(at: TestPlace, bench: Bench, contender: Contender) -> tuple[Tried, list[Predicted]]:
    states = load_states(at.artifacts, at.place, contender)
    try:
        models = []
        for model, state in zip(contender.models, states, strict=True):
            try:
                models.append(bench.predicted(state))
            except CheckpointError as error:
                why = str(error)
                raise StudyError(bad_model(contender, model, at.place, why)) from error
        ways = list(ways_of(models))
        if contender.params is not None and len(models) > 1:
            ways += bench.soups(states, models, contender.params)
    except TrialFailure as failure:
        raise MemoryShortage(str(failure)) from failure
    return Tried(contender.name, _seeds(contender), tuple(ways)), models


def _record(at: TestPlace, tables: TestTables, images: ImageSet, again: bool) -> TestResult:
    """Record a look, and keep its picture and its table."""
    engine, study_id = at.database.engine, at.study.study_id
    result = write_test_result(engine, study_id, tables.result(), only_first=not again)
    if result is None:  # somebody was faster, and this look was not seen by anybody
        return read_test_results(engine, study_id)[0]
    keep_files(at.database, at.artifacts, study_id, result.look, lambda: _files(tables, images))
    return result


def _files(tables: TestTables, images: ImageSet) -> dict[str, bytes]:
    """Return the picture of the worst mistakes, and the table of all predictions."""
    from tlsearch.report.wrong_images import wrong_images  # loads matplotlib, which is slow

    shown = [(wrong, images.image(place)) for place, wrong in tables.most_wrong()]
    title = f"{tables.answer.name}: most certain and wrong, of {len(tables.refs)} test images"
    return {PICTURE: wrong_images(shown, title), TABLE: as_csv(tables.predictions())}


def _seeds(contender: Contender) -> tuple[int, ...]:
    return tuple(model.seed for model in contender.models)
