"""What the holder of a trial may do, and what becomes of trials whose holder fell silent."""

import threading

import pytest

from tests.db.claiming import (
    BUG,
    NAN,
    OUT_OF_MEMORY,
    PREEMPTED,
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
from tlsearch.records import Failure
from tlsearch.store.claims import Curve, Refusal, Release
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import load_optuna_study

PARAM = ("high_lr", 0.1, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001,'
         ' "high": 1.0, "log": true}}')  # fmt: skip
PAUSED = Release("paused", "the study is paused")
TOUCHES = {
    "report": lambda worker, held: worker.report(held, Curve([1], [0.9]), 1),
    "write": lambda worker, held: worker.write(held, [PARAM], {"x": 1}, {"y": 2}, 5),
    "complete": lambda worker, held: worker.complete(held, 0.9, Curve([2], [0.9])),
    "fail": lambda worker, held: worker.fail(held, NAN, Curve()),
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
    tables: tuple[str, ...] = ("trials", "trial_params", "trial_values")
    tables += ("trial_intermediate_values",)
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
    worker.complete(held, 0.6, Curve([2, 3, 3], [0.5, 0.5, 0.6]))
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
    worker.complete(held, 0.5, Curve([1], [0.5]), has_model=True)
    before = everything(storage)
    worker.complete(held, 0.7, Curve([1], [0.7]), user_attrs={"x": 1})
    assert everything(storage) == before
    with pytest.raises(TrialLost):  # it did not fail
        worker.fail(held, NAN, Curve())
    assert everything(storage) == before
    trial = storage.get_trial(held.trial_id)
    assert (trial.state.name, trial.value, trial.intermediate_values) == ("COMPLETE", 0.5, {1: 0.5})
    assert trial.datetime_complete is not None


def test_a_pruned_trial_has_its_last_value_and_a_failed_one_its_reason(storage, worker):
    make_study(storage, "b", seeds=0)
    worker.prune(claim(worker), 0.4, Curve([1], [0.4]))
    worker.fail(claim(worker), Failure("nan", "the loss"), Curve())
    pruned, failed = storage.get_all_trials(1)
    assert (pruned.state.name, pruned.value) == ("PRUNED", 0.4)
    assert (failed.state.name, failed.value) == ("FAIL", None)
    assert (failed.user_attrs["reason_kind"], failed.user_attrs["reason"]) == ("nan", "the loss")
    (row,) = rows(
        storage, "SELECT failure_kind, reason FROM tlsearch.attempts WHERE ended = 'fail'"
    )
    assert row == ("nan", "the loss")


def test_a_reason_may_have_any_characters(storage, worker):
    worker.fail(claim(worker), Failure("nan", "a\0b \ud800 ü: 'x' %s"), Curve())
    worker.release(claim(worker), Release("preempted", "nul \0"), Curve(), None)
    failed, released = records(storage)
    assert (failed.reason_kind, failed.reason) == ("nan", "a b \\ud800 ü: 'x' %s")
    assert (released.reason_kind, released.reason) == ("preempted", "nul  ")


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_a_worker_that_lost_a_trial_can_no_longer_touch_it(storage, worker, other, touch):
    lost = claim(worker)
    silence(storage)
    taken = claim(other)
    assert taken.trial_id == lost.trial_id
    before = everything(storage)
    with pytest.raises(TrialLost, match="lost its trial"):
        touch(worker, lost)
    assert everything(storage) == before
    assert other.report(taken, Curve([1], [0.2])) is None
    other.complete(taken, 0.2, Curve())
    with pytest.raises(TrialLost):
        touch(worker, lost)
    assert records(storage)[0].val_accuracy == 0.2


def test_a_former_holder_cannot_release_what_another_has(storage, worker, other):
    lost = claim(worker)
    silence(storage)
    taken = claim(other)
    before = everything(storage)
    assert not worker.release(lost, PREEMPTED, Curve([1], [0.9]), 1)
    assert everything(storage) == before
    assert other.release(taken, PREEMPTED, Curve(), None)
    before = everything(storage)
    assert other.release(taken, PREEMPTED, Curve(), None), "the answer was lost"
    assert not other.release_failed(taken, BUG, Curve(), None)
    assert everything(storage) == before
    assert records(storage)[0].state == "waiting"


def test_a_released_trial_keeps_all_it_had(storage, worker, other):
    held = claim(worker)
    worker.write(held, [PARAM], {"origin": "tpe"})
    worker.report(held, Curve([1], [0.1]))
    assert worker.release(held, PAUSED, Curve([2], [0.2]), 2)
    (record,) = records(storage)
    assert (record.state, record.epochs) == ("waiting", 2)
    assert (record.reason_kind, record.reason) == ("paused", "the study is paused")
    again = claim(other)
    assert (again.trial_id, again.attempt) == (held.trial_id, 2)
    assert again.earlier_tokens == (held.token,)
    trial = storage.get_trial(held.trial_id)
    assert (trial.number, trial.params) == (0, {"high_lr": 0.1})
    other.complete(again, 0.3, Curve())
    assert records(storage)[0].reason_kind is records(storage)[0].reason is None, (
        "why it was released is no reason of its end"
    )


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


def test_any_heartbeat_keeps_a_trial(storage, worker, other):
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
    assert record.reason_kind == "stalled"
    assert record.reason == "its worker fell silent in attempt 3 of 3"
    (kinds,) = rows(storage, "SELECT array_agg(DISTINCT failure_kind) FROM tlsearch.attempts"
                    f" WHERE trial_id = {held.trial_id}")  # fmt: skip
    assert kinds == (["stalled"],)
    assert storage.get_trial(held.trial_id).datetime_complete is not None


@pytest.mark.parametrize("kind", ["preempted", "paused", "stopped", "budget"])
def test_a_release_on_request_is_no_fault(storage, worker, kind):
    for attempt in range(1, 6):
        held = claim(worker)
        assert held.attempt == attempt
        worker.release(held, Release(kind, "as asked"), Curve(), None)
    assert attempts(storage) == [(0, n, kind) for n in range(1, 6)]
    assert records(storage)[0].state == "waiting"


def test_faults_of_all_kinds_count_together(storage, worker, other):
    worker.release_failed(claim(worker), OUT_OF_MEMORY, Curve(), None)
    other.release(claim(other), PREEMPTED, Curve(), None)
    claim(other)
    silence(storage)
    other.release_failed(claim(other), BUG, Curve(), None)
    record = records(storage)[0]
    assert (record.state, record.reason_kind, record.reason) == ("fail", "ValueError", "x")
    kinds = rows(storage, "SELECT ended, failure_kind FROM tlsearch.attempts ORDER BY attempt")
    assert kinds == [
        ("out_of_memory", "out_of_memory"),
        ("preempted", None),
        ("stalled", "stalled"),
        ("error", "ValueError"),
    ]
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


def test_a_trial_that_another_program_ended_is_left_as_it_is(storage, worker, other):
    """A user told Optuna the result of a trial that a worker holds."""
    held = claim(worker)
    study = load_optuna_study(storage, "a")
    study.tell(0, 0.9)
    for touch in TOUCHES.values():
        with pytest.raises(TrialLost):
            touch(worker, held)
    assert not worker.release(held, PREEMPTED, Curve([1], [0.3]), 1)
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
    assert not worker.release(held, PREEMPTED, Curve([1], [0.3]), None)
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
        worker.complete(held, value, Curve(), has_model=True)
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


def test_the_model_of_fixed_features_is_never_given_up(storage, worker):
    execute(storage, "UPDATE tlsearch.controls SET trials = 10")
    tokens = []
    for value, origin in ((0.1, "fixed_features"), (0.3, "default"), (0.5, "prior")):
        held = claim(worker)
        tokens.append(held.token)
        worker.complete(held, value, Curve(), has_model=True, user_attrs={"origin": origin})
    assert worker.surplus_models(1) == [tokens[1]]
    assert worker.surplus_models(0) == [tokens[2]]
    assert worker.unneeded_files(tokens) == tokens[1:]
