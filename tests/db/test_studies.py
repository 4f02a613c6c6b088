"""Studies are written whole or not at all, whatever others write meanwhile."""

import multiprocessing
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from tlsearch.errors import StudyError
from tlsearch.records import Hyperparameters, QueuedTrial
from tlsearch.spec import parse_spec, spec_hash, to_toml_dict
from tlsearch.store import studies
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import (
    NewStudy,
    find_study,
    read_study,
    study_names,
    write_studies,
)
from tlsearch.store.trials import best_first, study_status, trial_records

SPEC = parse_spec(
    {
        "name": "a",
        "storage": "postgresql://u:secret@h/d",
        "data": {"path": "x"},
        "backbone": {"model": "resnet18"},
    }
)
PLAIN = Hyperparameters(1, 0.01, 1.0, 0, 0.0, 1e-4, 0)
ATTRS: dict[str, Any] = {
    "space": {"n_body_layers": 9, "ranges": {}},
    "data": {
        "class_names": ["a", "b"],
        "fingerprint": "0" * 64,
        "n_train": 8,
        "n_val": 4,
        "n_test": 4,
    },
    "backbone": {"layers": [], "weights_sha256": "0" * 64},
    "provenance": {"versions": {}, "git_commit": None},
    "spec": to_toml_dict(SPEC),
    "spec_hash": spec_hash(SPEC),
}
ODD_NAMES = [
    "it's; DROP TABLE studies; --",
    'double "quotes"',
    "ünïcödé 学习 🚀",
    "%s %(x)s :name {brace}",
    "n" * 200,
    " spaces ",
]


def test_round_trip(storage_url):
    storage = open_storage(storage_url)
    assert write_studies(storage, [NewStudy("a", ATTRS, [QueuedTrial(PLAIN, "default")])])
    found = find_study(storage, "a")
    assert found.spec == SPEC.model_copy(update={"storage": None})
    assert found.spec_hash == spec_hash(SPEC)
    (trial,) = storage.get_all_trials(found.study_id)
    assert trial.state is optuna.trial.TrialState.WAITING
    assert trial.user_attrs == {"origin": "default"}
    assert trial.system_attrs == {"fixed_params": PLAIN.as_dict()}


def test_the_storage_url_is_not_stored(storage_url):
    storage = open_storage(storage_url)
    write_studies(storage, [NewStudy("a", ATTRS, [])])
    with storage.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT value_json FROM study_user_attributes")).scalars()
        assert not any("secret" in row for row in rows)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_works(storage_url, name):
    storage = open_storage(storage_url)
    assert write_studies(storage, [NewStudy(name, ATTRS, [QueuedTrial(PLAIN, "default")])])
    assert study_names(storage) == [name]
    assert find_study(storage, name).name == name
    assert not write_studies(storage, [NewStudy(name, ATTRS, [])])


def test_a_second_study_of_a_name_changes_nothing(storage_url):
    storage = open_storage(storage_url)
    write_studies(storage, [NewStudy("a", ATTRS, [QueuedTrial(PLAIN, "default")])])
    assert not write_studies(
        storage, [NewStudy("a", {**ATTRS, "spec_hash": "other"}, [QueuedTrial(PLAIN, "x")] * 3)]
    )
    found = find_study(storage, "a")
    assert found.spec_hash == ATTRS["spec_hash"]
    assert len(trial_records(storage, found.study_id)) == 1


def create(url, results):
    results.put(
        write_studies(
            open_storage(url), [NewStudy("a", ATTRS, [QueuedTrial(PLAIN, "default")] * 4)]
        )
    )


def test_eight_processes_create_one_study(storage_url):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=create, args=(storage_url, results)) for _ in range(8)]
    for process in processes:
        process.start()
    created = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(created) == [False] * 7 + [True]
    storage = open_storage(storage_url)
    assert len(trial_records(storage, find_study(storage, "a").study_id)) == 4


def test_an_interrupted_creation_leaves_nothing(storage_url, monkeypatch):
    storage = open_storage(storage_url)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(studies, "create_controls", killed)
        with pytest.raises(KeyboardInterrupt):
            write_studies(storage, [NewStudy("a", ATTRS, [QueuedTrial(PLAIN, "default")])])
    assert read_study(storage, "a") is None
    assert study_names(storage) == []
    assert len(storage.get_all_studies()) == 1, "the half-made study is there, under no name"
    assert write_studies(storage, [NewStudy("a", ATTRS, [])])
    assert [s.study_name for s in storage.get_all_studies()] == ["a"]


def test_what_is_left_of_a_deleted_family_makes_room(storage_url):
    storage = open_storage(storage_url)
    family = [NewStudy("a", ATTRS, []), NewStudy("a/measures", ATTRS, [QueuedTrial(PLAIN, "x")])]
    assert write_studies(storage, family)
    left = storage.get_study_id_from_name("a/measures")
    optuna.delete_study(study_name="a", storage=storage)
    assert write_studies(storage, family)
    assert study_names(storage) == ["a", "a/measures"]
    assert storage.get_study_id_from_name("a/measures") != left


def test_another_programs_study_under_a_familys_name_stays(storage_url):
    storage = open_storage(storage_url)
    optuna.create_study(study_name="a/measures", storage=storage)
    with pytest.raises(StudyError, match="'a/measures' exists already, and study 'a' needs"):
        write_studies(storage, [NewStudy("a", ATTRS, []), NewStudy("a/measures", ATTRS, [])])
    assert study_names(storage) == ["a/measures"]


class TestErrors:
    def test_no_study(self, storage_url):
        storage = open_storage(storage_url)
        with pytest.raises(StudyError, match=r"'cars' does not exist.*there is none here yet"):
            find_study(storage, "cars")
        write_studies(storage, [NewStudy("cars-2", ATTRS, [])])
        with pytest.raises(StudyError, match="did you mean cars-2"):
            find_study(storage, "cars")
        with pytest.raises(StudyError, match="the studies here are: cars-2"):
            find_study(storage, "zzz")

    def test_another_programs_study(self, storage_url):
        storage = open_storage(storage_url)
        optuna.create_study(study_name="theirs", storage=storage)
        with pytest.raises(StudyError, match="'theirs' was not created by tlsearch"):
            find_study(storage, "theirs")
        assert not write_studies(storage, [NewStudy("theirs", ATTRS, [])])


def test_records_and_status(storage_url):
    storage = open_storage(storage_url)
    write_studies(storage, [NewStudy("a", ATTRS, [QueuedTrial(PLAIN, "default")])])
    found = find_study(storage, "a")
    study = studies.load_optuna_study(storage, "a")
    for value in (0.5, 0.7, 0.7):
        trial = study.ask()
        trial.report(value / 2, 1)
        trial.report(value, 2)
        trial.set_user_attr("seconds", 1.5)
        study.tell(trial, value)
    pruned = study.ask()
    pruned.report(0.9, 1)
    study.tell(pruned, state=optuna.trial.TrialState.PRUNED)
    running = study.ask()
    running.report(0.2, 1)
    records = trial_records(storage, found.study_id)
    assert [r.number for r in best_first(records)] == [1, 2, 0]
    assert [r.val_accuracy for r in records] == [0.5, 0.7, 0.7, 0.9, 0.2]
    assert records[0].epochs == 2
    assert records[1].params is None
    status = study_status(storage, found)
    assert status.counts == {"complete": 3, "pruned": 1, "running": 1, "fail": 0, "waiting": 0}
    assert (status.ended, status.train_seconds) == (4, 4.5)
    assert status.default_val_accuracy == 0.5
    assert status.best is not None
    assert status.best.number == 1
    assert [r.number for r in status.running] == [4]
