"""What the holder of a trial may do, and what becomes of trials whose holder fell silent."""

import threading

import pytest

from tests.db.claiming import (
    attempts,
    claim,
    execute,
    fresh,
    make_study,
    records,
    rows,
    silence,
    worker_on,
)
from tests.db.conftest import wait_for
from tlsearch.errors import StudyError, TrialLost
from tlsearch.store.claims import Curve, Refusal
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import load_optuna_study

PARAM = ("high_lr", 0.1, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001,'
         ' "high": 1.0, "log": true}}')  # fmt: skip
TOUCHES = {
    "report": lambda worker, held: worker.report(held, Curve([1], [0.9]), 1),
    "write": lambda worker, held: worker.write(held, [PARAM], {"x": 1}, {"y": 2}, 5),
    "complete": lambda worker, held: worker.end(held, "complete", 0.9, curve=Curve([2], [0.9])),
    "fail": lambda worker, held: worker.end(held, "fail", None, "nan"),
}


@pytest.fixture
def storage(storage_url):
    storage = open_storage(storage_url)
    make_study(storage)
    return storage


@pytest.fixture
def worker(storage, storage_url):
    return worker_on(storage_url)


@pytest.fixture
def other(storage, storage_url):
    return worker_on(storage_url)


def everything(storage):
    """All that the database holds of trials."""
    tables = ("trials", "trial_params", "trial_values", "trial_intermediate_values")
    tables += ("trial_user_attributes", "trial_system_attributes", "tlsearch.attempts")
    return {table: rows(storage, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


def test_what_is_reported_is_there_in_order(storage, worker):
    held = claim(worker)
    assert worker.report(held, Curve()) is None
    assert worker.report(held, Curve([1, 2], [0.1, 0.2])) is None
    assert worker.report(held, Curve([3], [0.3]), checkpoint_epoch=2) is None
    trial = storage.get_trial(held.trial_id)
    assert trial.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}
    assert list(trial.intermediate_values) == [1, 2, 3]
    (row,) = rows(storage, "SELECT last_epoch, checkpoint_epoch, ended FROM tlsearch.attempts")
    assert row == (3, 2, None)


def test_a_delivery_that_arrives_twice_changes_nothing(storage, worker):
    held = claim(worker)
    worker.report(held, Curve([1, 2], [0.1, 0.2]), 1)
    worker.report(held, Curve([3], [0.3]))
    for late in (Curve([1, 2], [0.1, 0.2]), Curve([3], [0.3]), Curve()):
        worker.report(held, late)
    assert storage.get_trial(held.trial_id).intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}
    (row,) = rows(storage, "SELECT last_epoch, checkpoint_epoch FROM tlsearch.attempts")
    assert row == (3, 1)


def test_an_epoch_twice_in_one_delivery_takes_the_later_value(storage, worker):
    """A checkpoint was reported, found damaged, and training begun again, all in one outage."""
    held = claim(worker)
    worker.report(held, Curve([1, 2, 1, 2], [0.1, 0.2, 0.3, 0.4]))
    assert storage.get_trial(held.trial_id).intermediate_values == {1: 0.3, 2: 0.4}
    worker.end(held, "complete", 0.6, curve=Curve([2, 3, 3], [0.5, 0.5, 0.6]))
    assert storage.get_trial(held.trial_id).intermediate_values == {1: 0.3, 2: 0.5, 3: 0.6}


def test_what_was_drawn_is_there_as_optuna_would_have_it(storage, worker):
    held = claim(worker)
    texts = {"unicode": "ünïcödé 🚀", "nul": "a\0b", "list": [1, {"a": None}], "quote": "'\"\\"}
    for _ in range(2):  # the answer was lost
        worker.write(held, [PARAM], texts, {"of_optuna": 1.5}, first_epoch=4)
    trial = storage.get_trial(held.trial_id)
    assert trial.params == {"high_lr": 0.1}
    assert trial.distributions["high_lr"].log
    assert {name: trial.user_attrs[name] for name in texts} == texts
    assert trial.system_attrs["of_optuna"] == 1.5
    assert rows(storage, "SELECT first_epoch FROM tlsearch.attempts") == [(4,)]


def test_an_end_that_is_repeated_is_one_end(storage, worker):
    held = claim(worker)
    worker.end(held, "complete", 0.5, curve=Curve([1], [0.5]), has_model=True)
    before = everything(storage)
    worker.end(held, "complete", 0.7, curve=Curve([1], [0.7]), user_attrs={"x": 1})
    assert everything(storage) == before
    with pytest.raises(TrialLost):  # it did not fail
        worker.end(held, "fail", None, "nan")
    assert everything(storage) == before
    trial = storage.get_trial(held.trial_id)
    assert (trial.state.name, trial.value, trial.intermediate_values) == ("COMPLETE", 0.5, {1: 0.5})
    assert trial.datetime_complete is not None


def test_a_pruned_trial_has_its_last_value_and_a_failed_one_its_reason(storage, worker):
    make_study(storage, "b", seeds=0)
    worker.end(claim(worker), "pruned", 0.4, curve=Curve([1], [0.4]))
    worker.end(claim(worker), "fail", None, "nan: the loss")
    pruned, failed = storage.get_all_trials(1)
    assert (pruned.state.name, pruned.value) == ("PRUNED", 0.4)
    assert (failed.state.name, failed.value) == ("FAIL", None)
    assert failed.user_attrs["reason"] == "nan: the loss"


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_whoever_lost_a_trial_can_no_longer_touch_it(storage, worker, other, touch):
    lost = claim(worker)
    silence(storage)
    taken = claim(other)
    assert taken.trial_id == lost.trial_id
    before = everything(storage)
    with pytest.raises(TrialLost, match="lost its trial"):
        touch(worker, lost)
    assert everything(storage) == before
    assert other.report(taken, Curve([1], [0.2])) is None
    other.end(taken, "complete", 0.2)
    with pytest.raises(TrialLost):
        touch(worker, lost)
    assert records(storage)[0].val_accuracy == 0.2


def test_a_former_holder_cannot_hand_back_what_another_has(storage, worker, other):
    lost = claim(worker)
    silence(storage)
    taken = claim(other)
    before = everything(storage)
    assert not worker.hand_back(lost, "preempted", "SIGTERM", Curve([1], [0.9]), 1)
    assert everything(storage) == before
    assert other.hand_back(taken, "preempted", "SIGTERM")
    before = everything(storage)
    assert other.hand_back(taken, "preempted", "SIGTERM"), "the answer was lost"
    assert not other.hand_back(taken, "error", "ValueError: x")
    assert everything(storage) == before
    assert records(storage)[0].state == "waiting"


def test_a_trial_handed_back_keeps_all_it_had(storage, worker, other):
    held = claim(worker)
    worker.write(held, [PARAM], {"origin": "tpe"})
    worker.report(held, Curve([1], [0.1]))
    assert worker.hand_back(held, "paused", "the study is paused", Curve([2], [0.2]), 2)
    (record,) = records(storage)
    assert (record.state, record.epochs) == ("waiting", 2)
    assert record.reason == "paused: the study is paused"
    again = claim(other)
    assert (again.trial_id, again.attempt) == (held.trial_id, 2)
    assert again.earlier_tokens == (held.token,)
    trial = storage.get_trial(held.trial_id)
    assert (trial.number, trial.params) == (0, {"high_lr": 0.1})
    other.end(again, "complete", 0.3)
    assert records(storage)[0].reason is None, "why it was handed back is no reason of its end"


def test_a_silent_workers_trial_returns_to_the_queue_as_itself(storage, worker, other):
    held = claim(worker)
    worker.write(held, [PARAM])
    worker.report(held, Curve([1], [0.3]))
    silence(storage)
    taken = claim(other)
    assert (taken.trial_id, taken.attempt) == (held.trial_id, 2)
    trial = storage.get_trial(taken.trial_id)
    assert (trial.params, trial.intermediate_values) == ({"high_lr": 0.1}, {1: 0.3})
    assert attempts(storage) == [(0, 1, "stalled"), (0, 2, None)]
    assert len(records(storage)) == 1


def test_any_sign_of_life_keeps_a_trial(storage, worker, other):
    held = claim(worker)
    for alive in (
        lambda: worker.report(held, Curve()),
        lambda: worker.write(held),
    ):
        silence(storage)
        alive()
        assert claim(other).trial_id != held.trial_id


def test_after_max_attempts_a_silent_trial_fails_with_its_reason(storage, worker):
    for attempt in (1, 2, 3):
        held = claim(worker)
        assert held.attempt == attempt
        assert len(held.earlier_tokens) == attempt - 1
        silence(storage)
    assert claim(worker).trial_id != held.trial_id
    record = records(storage)[0]
    assert record.state == "fail"
    assert record.reason == "stalled: its worker fell silent in attempt 3 of 3"
    assert storage.get_trial(held.trial_id).datetime_complete is not None


@pytest.mark.parametrize("kind", ["preempted", "paused", "stopped", "budget"])
def test_letting_go_on_request_is_no_fault(storage, worker, kind):
    for attempt in range(1, 6):
        held = claim(worker)
        assert held.attempt == attempt
        worker.hand_back(held, kind, "as asked")
    assert attempts(storage) == [(0, n, kind) for n in range(1, 6)]
    assert records(storage)[0].state == "waiting"


def test_faults_of_all_kinds_count_together(storage, worker, other):
    worker.hand_back(claim(worker), "out_of_memory", "too little")
    other.hand_back(claim(other), "preempted", "SIGTERM")
    claim(other)
    silence(storage)
    other.hand_back(claim(other), "error", "ValueError: x")
    record = records(storage)[0]
    assert (record.state, record.reason) == ("fail", "error: ValueError: x")
    assert worker.claim(fresh()).trial_id != 1


def test_trials_that_other_programs_left_running_are_run_again(storage, worker):
    study = load_optuna_study(storage, "a")
    left, alive = study.ask(), study.ask()
    execute(
        storage,
        "UPDATE trials SET datetime_start = datetime_start - interval '1 min' WHERE number = 0",
    )
    assert claim(worker).trial_id == left._trial_id
    assert claim(worker).trial_id not in (left._trial_id, alive._trial_id)


def test_a_trial_that_somebody_else_ended_is_left_as_it_is(storage, worker, other):
    """A user told Optuna the result of a trial that a worker holds."""
    held = claim(worker)
    study = load_optuna_study(storage, "a")
    study.tell(0, 0.9)
    for touch in TOUCHES.values():
        with pytest.raises(TrialLost):
            touch(worker, held)
    assert not worker.hand_back(held, "preempted", "SIGTERM", Curve([1], [0.3]), 1)
    silence(storage)
    claim(other)
    (record, _) = records(storage)
    assert (record.state, record.val_accuracy, record.reason) == ("complete", 0.9, None)
    assert record.epochs == 0
    assert attempts(storage)[0] == (0, 1, "stalled")


def test_a_trial_whose_rows_an_operator_deleted_stops_nobody(storage, worker, other):
    held = claim(worker)
    for table in ("trial_user_attributes", "trial_system_attributes", "trials"):
        execute(storage, f"DELETE FROM {table} WHERE trial_id = {held.trial_id}")
    silence(storage)
    assert claim(other).trial_id != held.trial_id


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_a_deleted_study(storage, worker, touch):
    held = claim(worker)
    storage.delete_study(1)
    with pytest.raises(TrialLost):
        touch(worker, held)
    assert not worker.hand_back(held, "preempted", "SIGTERM", Curve([1], [0.3]))
    with pytest.raises(StudyError, match="was deleted"):
        worker.claim(fresh())


DELETE = [
    f"DELETE FROM {table}"
    for table in (
        "trial_user_attributes", "trial_system_attributes", "trial_params", "trials",
        "study_directions", "study_user_attributes", "studies",
    )
]  # fmt: skip


@pytest.mark.parametrize("touch", [*TOUCHES.values()], ids=[*TOUCHES])
def test_a_study_that_is_being_deleted(storage, worker, touch):
    """What meets a deletion half way waits for it and then finds the trial gone."""
    held = claim(worker)
    outcome = []

    def meet():
        try:
            outcome.append(touch(worker, held))
        except BaseException as error:
            outcome.append(error)

    with storage.engine.begin() as connection:
        for statement in DELETE:
            connection.exec_driver_sql(statement)
        thread = threading.Thread(target=meet)
        thread.start()
        wait_for(lambda: rows(storage, "SELECT 1 FROM pg_locks WHERE NOT granted"))
    thread.join()
    assert isinstance(outcome[0], TrialLost)


def test_clocks_and_time_zones_of_workers_do_not_matter(worker, storage_url, monkeypatch):
    import time

    held = claim(worker)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        abroad = worker_on(storage_url)
        assert claim(abroad).trial_id != held.trial_id
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    worker.report(held, Curve())


def test_the_models_of_all_but_the_best_are_given_up(storage, worker):
    execute(storage, "UPDATE tlsearch.controls SET trials = 10")
    tokens = {}
    for value in (0.3, 0.9, 0.5, 0.9):
        held = claim(worker)
        tokens[held.trial_id] = held.token
        worker.end(held, "complete", value, has_model=True)
    first, second, third, fourth = tokens.values()
    assert sorted(worker.surplus_models(2)) == sorted([first, third])
    assert worker.surplus_models(2) == []
    assert worker.surplus_models(1) == [fourth], "among equals the earlier one stays"
    assert worker.surplus_models(0) == [second]


def test_a_worker_is_told_what_the_study_wants(storage, worker):
    held = claim(worker)
    execute(storage, "UPDATE tlsearch.controls SET state = 'paused'")
    refusal = worker.report(held, Curve([1], [0.5]))
    assert refusal == Refusal("paused", "the study is paused")
    assert storage.get_trial(held.trial_id).intermediate_values == {1: 0.5}
