"""Which worker gets which trial, on a real database."""

import multiprocessing
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

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
    refusal_of,
    rows,
    run_one,
    silence,
    worker_on,
)
from tlsearch.errors import StudyError
from tlsearch.store.claims import Claim, Claims, Curve, Refusal
from tlsearch.store.connect import open_storage
from tlsearch.store.trials import trial_counts


@pytest.fixture
def storage(storage_url):
    storage = open_storage(storage_url)
    make_study(storage)
    return storage


@pytest.fixture
def worker(storage, storage_url):
    return worker_on(storage_url)


def numbers(storage):
    return {row.trial_id: row.number for row in rows(storage, "SELECT * FROM trials")}


def test_queued_trials_first_then_new_ones_within_the_budget(storage, worker):
    claims = [claim(worker) for _ in range(3)]
    number_of = numbers(storage)
    assert [number_of[c.trial_id] for c in claims] == [0, 1, 2]
    assert [(c.attempt, c.earlier_tokens) for c in claims] == [(1, ())] * 3
    refusal = worker.claim(fresh())
    assert refusal == Refusal("wait", "all trials are claimed; waiting for 3 running elsewhere")
    assert not refusal.over
    assert records(storage)[0].origin == "default"
    assert records(storage)[0].attempt == 1
    for each in claims:
        worker.complete(each, 0.5, Curve())
    over = worker.claim(fresh())
    assert over == Refusal("done", "its budget of 3 trials is spent")
    assert over.over
    assert worker.refusal() == over


def test_what_is_queued_later_runs_before_new_trials(storage, worker):
    execute(storage, "UPDATE tlsearch.controls SET trials = 10")
    first = claim(worker)
    queued = storage.create_new_trial(1, waiting_trial())
    second, third = claim(worker), claim(worker)
    number_of = numbers(storage)
    assert second.trial_id == queued
    assert [number_of[c.trial_id] for c in (first, second, third)] == [0, 1, 2]


def waiting_trial(**fixed):
    from optuna.trial import TrialState, create_trial

    return create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": fixed})


def test_an_attribute_being_written_does_not_hide_a_queued_trial(storage, worker):
    """A transaction that adds an attribute locks the trial's row against other keys alone."""
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json)"
            " SELECT trial_id, 'note', '1' FROM trials"
        )
        held = claim(worker)
    assert numbers(storage)[held.trial_id] == 0


@pytest.mark.parametrize("ending", ["fail", "prune"])
def test_failed_and_pruned_trials_use_up_the_budget(worker, ending):
    for _ in range(3):
        held = claim(worker)
        if ending == "fail":
            worker.fail(held, NAN, Curve())
        else:
            worker.prune(held, 0.1, Curve())
    assert worker.claim(fresh()).verdict == "done"


def test_a_repeated_claim_is_the_same_claim(storage, worker):
    token = fresh()
    claims = [worker.claim(token) for _ in range(3)]
    assert claims[0] == claims[1] == claims[2]
    assert trial_counts(storage, 1)["running"] == 1
    assert len(attempts(storage)) == 1
    assert claim(worker) != claims[0]


def test_a_claim_repeated_after_the_trial_was_taken_over(storage, worker, storage_url):
    """The answer was lost, and the outage lasted so long that another worker has the trial."""
    token = fresh()
    lost = worker.claim(token)
    silence(storage)
    taken = claim(worker_on(storage_url))
    assert taken.trial_id == lost.trial_id
    again = worker.claim(token)
    assert isinstance(again, Refusal)
    assert again.verdict == "wait"
    assert claim(worker).trial_id != taken.trial_id


def test_a_claim_repeated_after_its_trial_ended(worker):
    """No worker that waits for its answers does this; nothing new is begun all the same."""
    token = fresh()
    worker.complete(worker.claim(token), 0.5, Curve())
    assert worker.claim(token).verdict == "wait"


def test_part_of_the_budget_can_be_kept_for_what_will_be_queued(worker):
    assert isinstance(worker.claim(fresh(), keep=2), Claim)  # the queued one
    waiting = worker.claim(fresh(), keep=2)
    assert waiting == Refusal("wait", "waiting for the measures, which are taken elsewhere")
    assert worker.refusal(keep=2) == waiting
    assert isinstance(worker.claim(fresh(), keep=1), Claim)


def test_a_worker_prefers_trials_that_it_did_not_fail_on(storage, storage_url):
    make_study(storage, "b", seeds=3, trials=10)
    one, other = worker_on(storage_url, "b"), worker_on(storage_url, "b")
    first = claim(one)
    one.release_failed(first, OUT_OF_MEMORY, Curve(), None)
    second = claim(one)
    one.release_failed(second, BUG, Curve(), None)
    third = claim(one)
    assert len({first.trial_id, second.trial_id, third.trial_id}) == 3
    assert claim(other).trial_id == first.trial_id  # which the other one did not fail on
    new = [claim(one) for _ in range(7)]
    number_of = {r.trial_id: r.number for r in rows(storage, "SELECT * FROM trials")}
    assert [number_of[each.trial_id] for each in new] == list(range(3, 10))
    assert claim(one).trial_id == second.trial_id  # better than leaving it queued
    assert refusal_of(worker_on(storage_url, "b")).verdict == "wait", "the budget is exact"


def test_part_of_the_budget_is_kept_from_what_a_worker_does_instead(storage, storage_url):
    make_study(storage, "b", seeds=1, trials=3)
    worker = worker_on(storage_url, "b")
    failed = claim(worker)
    worker.release_failed(failed, OUT_OF_MEMORY, Curve(), None)
    assert claim(worker, keep=2).trial_id == failed.trial_id


def test_a_worker_takes_up_again_at_once_what_it_was_preempted_from(worker):
    first = claim(worker)
    worker.release(first, PREEMPTED, Curve(), None)
    assert claim(worker).trial_id == first.trial_id


def test_a_study_whose_controls_are_gone_runs_nothing(storage, worker):
    """A study without a budget has no trials to give: better none than without end."""
    execute(storage, "DELETE FROM tlsearch.controls")
    assert worker.claim(fresh()).over
    assert worker.refusal().over


def test_a_deleted_study(storage, worker):
    token = fresh()
    worker.claim(token)
    storage.delete_study(1)
    with pytest.raises(StudyError, match="'a' was deleted"):
        worker.claim(fresh())


def work_off(worker: Claims, numbers_of: list[int]) -> None:
    while not (isinstance(found := worker.claim(fresh()), Refusal) and found.over):
        if isinstance(found, Claim):
            worker.report(found, Curve([1], [0.5]))
            worker.complete(found, 0.5, Curve())
            numbers_of.append(found.trial_id)


def test_many_threads_keep_the_budget_exactly(storage, storage_url):
    make_study(storage, "b", trials=60, seeds=25)
    workers = [worker_on(storage_url, "b") for _ in range(8)]
    done: list[list[int]] = [[] for _ in workers]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work_off, workers, done))
    assert Counter(n for each in done for n in each).most_common(1)[0][1] == 1
    assert [r.number for r in records(storage, "b")] == list(range(60))
    assert {r.state for r in records(storage, "b")} == {"complete"}
    assert sum(bool(each) for each in done) > 1, "one thread did everything: nothing was shared"


def work_in_process(url, results):
    done: list[list[int]] = [[] for _ in range(3)]
    threads = [threading.Thread(target=work_off, args=(worker_on(url), mine)) for mine in done]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put([n for mine in done for n in mine])


def test_processes_keep_the_budget_exactly(storage_url):
    storage = open_storage(storage_url)
    make_study(storage, trials=200, seeds=50)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=work_in_process, args=(storage_url, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    done = Counter(n for _ in processes for n in results.get(timeout=250))
    for process in processes:
        process.join()
    assert set(done.values()) == {1}
    assert [r.number for r in records(storage)] == list(range(200))
    assert trial_counts(storage, 1)["complete"] == len(done) == 200


def test_a_repeated_claim_among_many_is_exact_too(storage, storage_url):
    """Every answer is lost once."""
    make_study(storage, "b", trials=20, seeds=5)
    tokens = [fresh() for _ in range(24)] * 2
    worker = worker_on(storage_url, "b")
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(worker.claim, tokens))
    trials = {each.token: each for each in found if isinstance(each, Claim)}
    assert len({each.trial_id for each in trials.values()}) == len(trials) == 20
    assert trial_counts(storage, 2)["running"] == len(attempts(storage)) == 20


def test_a_budget_spent_with_one_trial_more_when_it_is_raised(storage, worker):
    for _ in range(3):
        run_one(worker)
    assert worker.claim(fresh()).over
    execute(storage, "UPDATE tlsearch.controls SET trials = 4")
    run_one(worker)
    assert worker.claim(fresh()).why == "its budget of 4 trials is spent"
