"""Claiming, keeping and losing trials, on a real database."""

import multiprocessing
from collections import Counter

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from tests.db.test_studies import ATTRS, PLAIN
from tlsearch.errors import StudyError, TrialLost
from tlsearch.spec import BudgetSpec, WorkersSpec, to_toml_dict
from tlsearch.spec import parse_spec as parse
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import NewStudy, Seed, find_study, load_optuna_study, write_studies
from tlsearch.store.trials import holds, trial_counts, trial_records
from tlsearch.worker.claim import Claim, ClaimDesk, Unclaimed


def make_study(storage, trials=3, seeds=1, max_attempts=3):
    spec = parse(ATTRS["spec"]).model_copy(
        update={
            "budget": BudgetSpec(trials=trials),
            "workers": WorkersSpec(
                heartbeat_seconds=1, stalled_after_seconds=3, max_attempts=max_attempts
            ),
        }
    )
    attrs = {**ATTRS, "spec": to_toml_dict(spec)}
    write_studies(storage, [NewStudy("a", attrs, [Seed(PLAIN, "default")] * seeds)])


def desk_of(url) -> ClaimDesk:
    """A desk as another process would have it: nothing shared but the database."""
    storage = open_storage(url)
    return ClaimDesk(storage, find_study(storage, "a"), load_optuna_study(storage, "a"))


def age_heartbeats(storage, seconds):
    with storage.engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE trial_heartbeats SET heartbeat = heartbeat - make_interval(secs => :s)"
            ),
            {"s": seconds},
        )


@pytest.fixture
def storage(storage_url):
    storage = open_storage(storage_url)
    make_study(storage)
    return storage


@pytest.fixture
def desk(storage, storage_url):
    return desk_of(storage_url)


def test_queued_trials_first_then_new_ones_within_the_budget(desk):
    claims = [desk.claim("w") for _ in range(4)]
    assert [c.trial.number for c in claims[:3]] == [0, 1, 2]
    assert claims[3] is Unclaimed.WAIT
    assert claims[0].trial.user_attrs["origin"] == "default"
    assert [c.attempt for c in claims[:3]] == [1, 1, 1]
    for claim in claims[:3]:
        desk.end(claim, TrialState.COMPLETE, 0.5, {"seconds": 1.0})
    assert desk.claim("w") is Unclaimed.DONE
    assert desk.is_done()


def test_failed_and_pruned_trials_use_up_the_budget(desk):
    for state in (TrialState.FAIL, TrialState.PRUNED, TrialState.FAIL):
        desk.end(desk.claim("w"), state, None, {})
    assert desk.claim("w") is Unclaimed.DONE


def test_a_silent_workers_trial_returns_to_the_queue_as_itself(storage, desk, storage_url):
    claim = desk.claim("first")
    claim.trial.suggest_float("high_lr", 0.001, 0.2)
    desk.report(claim, 1, 0.3)
    age_heartbeats(storage, 10)
    other = desk_of(storage_url)
    taken = other.claim("second")
    assert isinstance(taken, Claim)
    assert (taken.trial.number, taken.attempt, taken.reported_epochs) == (0, 2, 1)
    assert taken.trial.params == claim.trial.params
    assert sum(trial_counts(storage, 1).values()) == 1


def test_whoever_lost_a_trial_can_no_longer_touch_it(storage, desk, storage_url):
    lost = desk.claim("first")
    age_heartbeats(storage, 10)
    taken = desk_of(storage_url).claim("second")
    for touch in (
        lambda: desk.hold(lost),
        lambda: desk.report(lost, 1, 0.9),
        lambda: desk.end(lost, TrialState.COMPLETE, 0.9, {}),
    ):
        with pytest.raises(TrialLost, match="taken over"):
            touch()
    desk.give_back(lost)
    (record,) = trial_records(storage, 1)
    assert (record.state, record.worker, record.epochs) == ("running", "second", 0)
    assert holds(storage, taken.trial_id, taken.token)


def test_a_live_workers_trial_is_left_alone(storage, desk):
    claim = desk.claim("first")
    age_heartbeats(storage, 10)
    desk.hold(claim)
    other = desk.claim("second")
    assert other.trial.number == 1


def test_a_worker_that_died_between_claim_and_heartbeat(storage, desk):
    """Its trial runs without any heartbeat: Optuna alone would never find it."""
    load_optuna_study(storage, "a").ask()
    claim = desk.claim("w")
    assert (claim.trial.number, claim.attempt) == (0, 1)


def test_after_max_attempts_a_trial_fails_with_its_reason(storage, desk):
    for attempt in (1, 2, 3):
        claim = desk.claim("w")
        assert (claim.trial.number, claim.attempt) == (0, attempt)
        age_heartbeats(storage, 10)
    assert desk.claim("w").trial.number == 1
    record = trial_records(storage, 1)[0]
    assert record.state == "fail"
    assert record.reason.startswith("stalled: its worker fell silent in each of 3 attempts")


def test_giving_back_does_not_use_up_an_attempt(desk):
    for _ in range(5):
        claim = desk.claim("w")
        assert (claim.trial.number, claim.attempt) == (0, 1)
        desk.give_back(claim)


def test_an_epoch_reported_again_takes_the_new_value(storage, desk, storage_url):
    first = desk.claim("first")
    desk.report(first, 1, 0.3)
    desk.report(first, 2, 0.4)
    desk.give_back(first)
    second = desk_of(storage_url).claim("second")
    desk.report(second, 1, 0.35)
    (record,) = [r for r in trial_records(storage, 1) if r.number == 0]
    assert record.epochs == 2
    assert storage.get_trial(second.trial_id).intermediate_values == {1: 0.35, 2: 0.4}


def test_clocks_and_time_zones_of_workers_do_not_matter(desk, storage_url, monkeypatch):
    """A worker in another time zone sees a fresh heartbeat as fresh."""
    import time

    claim = desk.claim("first")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        other = desk_of(storage_url).claim("second")
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert other.trial.number == 1
    desk.hold(claim)


def test_a_deleted_study(storage, desk):
    claim = desk.claim("w")
    storage.delete_study(1)
    with pytest.raises(TrialLost):
        desk.report(claim, 1, 0.5)
    with pytest.raises(StudyError, match="was deleted"):
        desk.claim("w")


def work(url, results):
    desk, mine = desk_of(url), []
    while (claim := desk.claim("w")) is not Unclaimed.DONE:
        if isinstance(claim, Claim):
            mine.append(claim.trial.number)
            desk.report(claim, 1, 0.5)
            desk.end(claim, TrialState.COMPLETE, 0.5, {})
    results.put(mine)


def test_six_processes_keep_the_budget_exactly(storage_url):
    storage = open_storage(storage_url)
    make_study(storage, trials=60, seeds=25)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=work, args=(storage_url, results)) for _ in range(6)]
    for process in processes:
        process.start()
    numbers = Counter(n for _ in processes for n in results.get(timeout=200))
    for process in processes:
        process.join()
    assert numbers == Counter(range(60))
    assert trial_counts(storage, 1)["complete"] == 60


def test_part_of_the_budget_can_be_kept_for_what_will_be_queued(desk):
    claims = [desk.claim("w", keep=2) for _ in range(2)]
    assert isinstance(claims[0], Claim)
    assert claims[1] is Unclaimed.WAIT
    assert isinstance(desk.claim("w"), Claim)
