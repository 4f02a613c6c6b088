"""What is read, and how often: statements and rows, for times depend on the machine."""

import math
import uuid
from contextlib import contextmanager

import optuna
import pytest
import sqlalchemy as sa
from optuna.pruners import NopPruner
from optuna.trial import TrialState, create_trial

from tlsearch.optuna_ext import IncrementalPercentilePruner, ThinnedTPESampler
from tlsearch.optuna_ext.accumulators import KeepsHistory
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.store.connect import open_storage

ODD = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, -0.0]


@pytest.fixture
def storage(storage_url):
    return open_storage(storage_url)


def study_in(storage, **options):
    return optuna.create_study(
        study_name=str(uuid.uuid4()), direction="maximize", storage=storage, **options
    )


@contextmanager
def statements(engine):
    """Collect the statements that go over an engine."""
    found = []

    def note(connection, cursor, statement, *more):
        found.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(engine, "before_cursor_execute", note)


def history_of(study):
    return StudyHistory(study._storage._backend.engine, study._study_id)


def run(study, value=0.5, n=1):
    for _ in range(n):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(value, 1)
        study.tell(trial, value)


def test_reads_what_optuna_reads(storage):
    """Down to odd numbers, texts and types."""
    study = study_in(storage)
    trial = study.ask()
    trial.suggest_categorical("kind", ["a", None, 3, 0.5, True, "ü{},\"'\\"])
    trial.suggest_int("n", 1, 9, log=True)
    trial.suggest_float("share", 0.0, 1.0, step=0.1)
    for step, value in enumerate(ODD):
        trial.report(value, step * 7)
    attrs = {"k\"'{},\\": {"x": [1, math.nan, None]}, "é 学": "\n\t\\u0041", "": "", "n": 10**30}
    for key, attr in attrs.items():
        trial.set_user_attr(key, attr)
        storage.set_trial_system_attr(trial._trial_id, key, attr)
    study.tell(trial, -math.inf)
    study.tell(study.ask(), state=TrialState.FAIL)
    study.enqueue_trial({"x": 1})
    study.ask()
    study.ask()
    history = history_of(study)
    history.refresh()
    assert repr(history.trials()) == repr(study.get_trials())


def test_several_objectives(storage):
    study = optuna.create_study(storage=storage, directions=["maximize", "minimize", "maximize"])
    study.add_trial(create_trial(values=[0.3, 0.1, math.inf]))
    history = history_of(study)
    history.refresh()
    assert history.trials()[0].values == [0.3, 0.1, math.inf]


def test_what_finished_is_read_without_the_rest(storage):
    study = study_in(storage)
    waiting_since = study.ask()
    history = history_of(study)
    history.refresh()
    later = study.ask()
    run(study, 0.7)
    history.refresh_finished()
    assert [trial.number for trial in history.finished()] == [2]
    assert [trial.number for trial in history.open()] == [waiting_since.number]
    study.tell(later, 0.1)
    for refresh in (history.refresh_finished, history.refresh, history.refresh_finished):
        refresh()
        assert [trial.number for trial in history.finished()] == [2, 1]
    assert [trial.number for trial in history.trials()] == [0, 1, 2]
    study.tell(waiting_since, 0.2)
    run(study, 0.8)
    history.refresh()
    assert [trial.number for trial in history.trials()] == [0, 1, 2, 3]
    assert list(history.open()) == []
    assert repr(history.trials()) == repr(study.get_trials())


@pytest.mark.parametrize("seed", range(4))
def test_readings_of_all_kinds_in_any_order(storage, seed):
    """Nothing is lost and nothing read twice."""
    choose = optuna.samplers._lazy_random_state.LazyRandomState(seed).rng
    study, running = study_in(storage), []
    history = history_of(study)
    for _ in range(60):
        action = choose.randint(6)
        if action < 2:
            running.append(study.ask())
        elif action == 2 and running:
            study.tell(running.pop(choose.randint(len(running))), 0.5)
        elif action == 3:
            history.refresh()
        elif action == 4 and running:
            history.refresh(curve_of=running[0]._trial_id)
        else:
            history.refresh_finished()
    history.refresh_finished()
    done = [t.number for t in study.get_trials() if t.state.is_finished()]
    assert sorted(trial.number for trial in history.finished()) == done
    history.refresh()
    assert repr(history.trials()) == repr(study.get_trials())
    for states in ((TrialState.COMPLETE,), (TrialState.COMPLETE, TrialState.RUNNING), ()):
        assert repr(history.trials(states)) == repr(study.get_trials(states=states))


def test_curves_of_others_are_left_as_they_were_read(storage):
    study = study_in(storage)
    own, other = study.ask(), study.ask()
    for trial in (own, other):
        trial.report(0.1, 1)
    history = history_of(study)
    history.refresh()
    for trial in (own, other):
        trial.report(0.2, 2)
    other.set_user_attr("a", 1)
    history.refresh(curve_of=own._trial_id)
    curves = {trial.number: trial.intermediate_values for trial in history.open()}
    assert curves == {0: {1: 0.1, 2: 0.2}, 1: {1: 0.1}}
    assert next(t for t in history.open() if t.number == 1).user_attrs == {"a": 1}
    study.tell(other, 0.3)
    history.refresh(curve_of=own._trial_id)
    assert history.finished()[0].intermediate_values == {1: 0.1, 2: 0.2}


def test_a_database_that_was_just_asked_is_not_asked_again(storage):
    study = study_in(storage)
    history = history_of(study)
    history.refresh()
    run(study)
    with statements(storage.engine) as sent:
        history.refresh_finished(max_age_seconds=60)
    assert (sent, history.finished()) == ([], [])
    history.refresh_finished(max_age_seconds=0)
    assert len(history.finished()) == 1


def test_a_failed_reading_changes_nothing(storage, monkeypatch):
    study = study_in(storage)
    history = history_of(study)
    history.refresh()
    run(study)

    def fail(*_):
        raise sa.exc.OperationalError("", {}, Exception("away"))

    with monkeypatch.context() as patch:
        patch.setattr(history._engine, "connect", fail)
        for refresh in (history.refresh, history.refresh_finished):
            with pytest.raises(sa.exc.OperationalError):
                refresh()
    assert history.trials() == []
    history.refresh_finished()
    assert len(history.trials()) == 1


def test_a_trial_on_our_storage_takes_few_statements(storage):
    """Plain Optuna: 560 with 50 reports and a median pruner."""
    backend = BatchedStorage(storage, flush_seconds=600)
    assert isinstance(backend, KeepsHistory)
    sampler = ThinnedTPESampler(seed=0, multivariate=True, max_age_seconds=60)
    pruner = IncrementalPercentilePruner(50.0, max_age_seconds=60)
    study = study_in(backend, sampler=sampler, pruner=pruner)
    assert len(study.directions) == 1  # asked for once
    for _ in range(13):
        with statements(storage.engine) as sent:
            trial = study.ask()
            asked = len(sent)
            for name in "abcdefg":
                trial.suggest_float(name, 0, 1)
            for step in range(50):
                trial.report(0.1, step)
                trial.should_prune()
            assert len(sent) == asked
            study.tell(trial, 0.5)
        assert len(sent) <= 24
    assert "tpe:relative_params:0" in study.trials[-1].system_attrs


def test_other_processes_trials_are_seen_by_the_next_trial(storage, storage_url):
    """A draw knows what had finished when its trial was begun."""
    sampler = ThinnedTPESampler(seed=0, multivariate=True, n_startup_trials=3)
    study = study_in(BatchedStorage(storage), sampler=sampler, pruner=NopPruner())
    other = optuna.load_study(study_name=study.study_name, storage=open_storage(storage_url))
    for n in range(5):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        drew = "tpe:relative_params:0" in study._storage.get_trial(trial._trial_id).system_attrs
        assert drew == (2 * n >= 3)
        study.tell(trial, 0.5)
        run(other)


def test_own_trials_are_read_as_this_process_knows_them(storage):
    backend = BatchedStorage(storage)
    study = study_in(backend)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)
    (read,) = study.get_trials(deepcopy=False)
    assert (read.params, read.intermediate_values) == (trial.params, {1: 0.5})
    assert [t.params for t in backend.open_trials(study._study_id)] == [trial.params]
    assert study.get_trials(states=(TrialState.COMPLETE,)) == []
    study.tell(trial, 0.5)
    assert [t.state for t in study.get_trials()] == [TrialState.COMPLETE]
    assert backend.finished_trials(study._study_id)[0].intermediate_values == {1: 0.5}
