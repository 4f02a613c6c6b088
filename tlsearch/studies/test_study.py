"""Tests what a study found on its test images: the front door."""

import shlex

from optuna.storages import RDBStorage

from tlsearch.errors import StudyError
from tlsearch.records import TrainOn
from tlsearch.records.finals import Finals
from tlsearch.records.names import FINALISTS_SUFFIX
from tlsearch.records.tested import TestResult
from tlsearch.store.connect import open_storage
from tlsearch.store.family import find_search, read_member
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.test_results import read_test_results
from tlsearch.studies.contenders import Contender, contenders_of, tested_finalists
from tlsearch.studies.final_models import complete_runs, final_finalists, final_runs, queue_final
from tlsearch.studies.finals import read_finals
from tlsearch.studies.testing import TestPlace, check_images, run_test
from tlsearch.worker import Progress, run_worker
from tlsearch.worker.progress import HarmlessProgress, SilentProgress


def test_study(
    study_name: str,
    storage: str | None = None,
    *,
    again: bool = False,
    train_on: TrainOn | None = None,
    device: str = "auto",
    data_path: str | None = None,
    weights: str | None = None,
    artifacts: str | None = None,
    progress: Progress | None = None,
) -> TestResult:
    """Test the finalists of a study on its test images, once.

    The first call looks at the test images and records what it saw. Later calls return that first
    result, unless they ask to look again, which is recorded as another look. Where the models are
    to be trained on validation images as well, that comes first, by a worker in this process.

    Args:
        study_name: the search.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        again: look again.
        train_on: what the models are trained on: `train` = those of the finalists; None = as
            `final.train_on` of the spec says. With folds those of the finalists are trained on all
            images as they are.
        device: auto, cpu, cuda or cuda:N.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
        artifacts: where models lie on this machine, likewise.
        progress: told what happens.

    Raises:
        StudyError: no such study, no complete finalists, or a model that is gone or damaged.
        DataError: there are no test images, a class has none, or images have changed.
        BackboneError, StorageError, MemoryShortage: as `run_worker`.
    """
    database = open_storage(storage)
    search = find_search(database, study_name)
    earlier = read_test_results(database.engine, search.study_id)
    if earlier and not again:
        return earlier[0]
    told = HarmlessProgress(progress or SilentProgress())
    finals = _finals(study_name, storage)
    finalists = tested_finalists(finals)
    at = TestPlace.of(database, search, told, device, data_path, weights, artifacts)
    catalog, content = check_images(at)
    trained = train_on or search.spec.final.train_on
    if search.spec.data.folds:  # the models of the finalists are trained on all these images
        trained = "train+val"
    if trained == "train" or search.spec.data.folds:
        study = _finalists_study(database, search)
        runs = {each.name: each.runs for each in finalists}
    else:
        finalists = final_finalists(finals, finalists)
        wanted = final_runs(search, finalists)
        study = queue_final(database, search, wanted)
        run_worker(
            study.name,
            storage,
            device=device,
            data_path=data_path,
            weights=weights,
            artifacts=artifacts,
            progress=progress,
        )
        runs = dict(complete_runs(database, study, wanted))
    contenders: list[Contender] = contenders_of(database, study, runs, finalists)
    return run_test(at, catalog, content, finals, contenders, trained, again=again)


test_study.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def _finals(study_name: str, storage: str | None) -> Finals:
    finals = read_finals(study_name, storage)
    if finals is None:
        raise StudyError(
            f"study {study_name!r} has no finalists to test: run tlsearch finalists "
            f"{shlex.quote(study_name)} first"
        )
    return finals


def _finalists_study(database: RDBStorage, search: StoredStudy) -> StoredStudy:
    found = read_member(database, search, FINALISTS_SUFFIX)
    assert found is not None, "there are finalists"
    return found
