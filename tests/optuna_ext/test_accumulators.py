"""What is worked out from finished trials, kept up to date trial by trial."""

import gc
import weakref

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from tlsearch.optuna_ext import accumulators
from tlsearch.optuna_ext.accumulators import KeepsHistory, accumulated, open_trials

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


class Numbers:
    """An accumulator: the numbers of its trials."""

    def __init__(self, study):
        self.numbers = []

    def add(self, trial):
        self.numbers.append(trial.number)


class Remembering(InMemoryStorage):
    """A storage that keeps a history, and notes how it is read."""

    def __init__(self):
        super().__init__()
        self.ages = []
        self.seen = []

    def finished_trials(self, study_id, max_age_seconds=0.0):
        self.ages.append(max_age_seconds)
        known = {trial.number for trial in self.seen}
        for trial in reversed(self.get_all_trials(study_id, deepcopy=False)):
            if trial.state.is_finished() and trial.number not in known:
                self.seen.append(trial)
        return self.seen

    def open_trials(self, study_id):
        return ["as it says"]


def study_in(storage=None):
    return optuna.create_study(direction="maximize", storage=storage)


def numbers_of(study, **options):
    with accumulated(Numbers, study, **options) as accumulator:
        return accumulator.numbers


@pytest.mark.parametrize("storage", [None, Remembering])
def test_each_finished_trial_is_added_once(storage):
    study = study_in(storage and storage())
    running = study.ask()
    for n, state in enumerate((COMPLETE, FAIL, PRUNED)):
        study.add_trial(create_trial(state=state, value=0.0 if state is COMPLETE else None))
        assert len(numbers_of(study)) == (1, 1, 2)[n]
    study.tell(running, 0.5)
    assert numbers_of(study) == numbers_of(study)
    assert sorted(numbers_of(study)) == [0, 1, 3]


def test_it_belongs_to_the_storage_and_goes_with_it():
    storage = InMemoryStorage()
    study = study_in(storage)
    study.add_trial(create_trial(value=0.0))
    first = numbers_of(study)
    again = optuna.load_study(study_name=study.study_name, storage=storage)
    assert numbers_of(again) is first
    reference = weakref.ref(storage)
    assert storage in accumulators._entries
    del study, again, storage, first
    gc.collect()
    assert reference() is None


def test_studies_of_one_storage_are_kept_apart():
    storage = InMemoryStorage()
    studies = [study_in(storage) for _ in range(2)]
    studies[1].add_trial(create_trial(value=0.0))
    assert [numbers_of(study) for study in studies] == [[], [0]]


def test_a_storage_that_keeps_a_history_is_asked_as_it_offers():
    storage = Remembering()
    assert isinstance(storage, KeepsHistory)
    assert not isinstance(InMemoryStorage(), KeepsHistory)
    study = study_in(storage)
    numbers_of(study, max_age_seconds=0.7)
    assert storage.ages == [0.7]
    assert open_trials(study) == ["as it says"]


def test_open_trials_of_other_storages():
    study = study_in()
    running = study.ask()
    study.enqueue_trial({})
    study.add_trial(create_trial(value=0.0))
    assert [trial.number for trial in open_trials(study)] == [running.number, 1]


def test_a_view_that_shows_some_trials_gets_an_accumulator_of_its_own():
    study = study_in()
    study.pruner = optuna.pruners.HyperbandPruner(1, 9)
    for n in range(30):
        trial = study.ask()
        trial.report(0.0, 1)
        trial.should_prune()
        study.tell(trial, float(n))
    brackets = {study.pruner._get_bracket_id(study, trial) for trial in study.trials}
    views = [study.pruner._create_bracket_study(study, bracket) for bracket in brackets]
    found = [numbers_of(view, by="get_trials") for view in views]
    assert len(found) > 1
    assert sorted(number for numbers in found for number in numbers) == list(range(30))
    of_samplers = [len(numbers_of(view)) for view in views]  # Optuna's samplers see all trials
    assert of_samplers == [30] * len(views)
