"""What steers a study: its state and its limits, as the server judges them."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from tests.db.claiming import (
    NAN,
    PREEMPTED,
    attempts,
    claim,
    execute,
    fresh,
    make_study,
    records,
    rows,
    run_one,
    silence,
    worker_on,
)
from tests.db.conftest import wait_for
from tlsearch.errors import SpecError, StudyError
from tlsearch.store.claims import Claim, Curve, Release
from tlsearch.store.connect import migrate, open_storage
from tlsearch.store.controls import change_budget, read_controls
from tlsearch.store.trials import trial_counts
from tlsearch.studies.steer import pause_study, resume_study, set_budget, stop_study

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def storage(storage_url):
    storage = open_storage(storage_url)
    make_study(storage, trials=100)
    return storage


@pytest.fixture
def worker(storage, storage_url):
    return worker_on(storage_url)


@pytest.fixture
def limit(storage, storage_url):
    """Change the study's budget as the command does."""
    return lambda **changes: set_budget("a", changes, storage_url)


def test_a_study_begins_with_the_budget_of_its_spec(storage):
    study_id = make_study(
        storage, "b", trials=7, gpu_hours=1.5, target_accuracy=0.9, patience_trials=4
    )
    found = read_controls(storage.engine, study_id)
    assert (found.state, found.verdict, found.why, found.until) == ("running", None, None, None)
    assert (found.trials, found.gpu_hours, found.gpu_hours_used) == (7, 1.5, 0.0)
    assert (found.target_accuracy, found.patience_trials) == (0.9, 4)


class TestStates:
    @pytest.mark.parametrize(
        ("steer", "verdict", "why", "over"),
        [
            (pause_study, "paused", "the study is paused", False),
            (stop_study, "stopped", "the study was stopped", True),
        ],
    )
    def test_nothing_is_claimed_until_it_is_resumed(
        self, storage, storage_url, worker, steer, verdict, why, over
    ):
        held = claim(worker)
        assert steer("a", storage_url).verdict == verdict
        for refusal in (worker.claim(fresh()), worker.refusal(), worker.report(held, Curve())):
            assert (refusal.verdict, refusal.why, refusal.over) == (verdict, why, over)
        worker.release(held, Release(verdict, why), Curve([1], [0.5]), 1)
        assert records(storage)[0].state == "waiting"
        assert resume_study("a", storage_url).verdict is None
        assert claim(worker).trial_id == held.trial_id

    def test_what_measures_a_study_is_steered_with_it(self, storage, storage_url):
        make_study(storage, "a/measures")
        for steer, state in ((pause_study, "paused"), (stop_study, "stopped")):
            steer("a", storage_url)
            found = rows(storage, "SELECT state FROM tlsearch.controls")
            assert found == [(state,), (state,)]
        resume_study("a/measures", storage_url)
        assert rows(storage, "SELECT state FROM tlsearch.controls ORDER BY study_id") == [
            ("stopped",),
            ("running",),
        ]

    def test_others_studies_go_on(self, storage, storage_url):
        make_study(storage, "b")
        pause_study("a", storage_url)
        assert isinstance(worker_on(storage_url, "b").claim(fresh()), Claim)

    def test_a_study_that_is_not_there(self, storage_url):
        for steer in (pause_study, resume_study, stop_study):
            with pytest.raises(StudyError, match="'nope' does not exist"):
                steer("nope", storage_url)
        with pytest.raises(StudyError, match="'nope' does not exist"):
            set_budget("nope", {"trials": 3}, storage_url)


class TestTrials:
    def test_raised_and_lowered_while_trials_run(self, limit, worker):
        held = [claim(worker) for _ in range(4)]
        limit(trials=3)
        assert worker.claim(fresh()).verdict == "wait"
        assert worker.report(held[3], Curve([1], [0.1])) is None, "what runs may end"
        limit(trials=5)
        held.append(claim(worker))
        assert worker.claim(fresh()).verdict == "wait"
        for each in held:
            worker.complete(each, 0.5, Curve())
        assert worker.claim(fresh()).why == "its budget of 5 trials is spent"

    def test_queued_trials_beyond_it_stay_queued(self, storage, limit, worker):
        for _ in range(3):
            storage.create_new_trial(1, queued())
        limit(trials=2)
        run_one(worker)
        run_one(worker)
        assert worker.claim(fresh()).verdict == "done"
        assert trial_counts(storage, 1) | {"pruned": 0} == {
            "complete": 2, "waiting": 2, "running": 0, "fail": 0, "pruned": 0,
        }  # fmt: skip

    def test_a_released_trial_makes_room_for_itself_alone(self, limit, worker):
        limit(trials=2)
        held = [claim(worker), claim(worker)]
        worker.release(held[0], PREEMPTED, Curve(), None)
        assert claim(worker).trial_id == held[0].trial_id
        assert worker.claim(fresh()).verdict == "wait"


def queued():
    from optuna.trial import TrialState, create_trial

    return create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {}})


def over(worker):
    """Why the study is over; None where it goes on."""
    refusal = worker.refusal()
    if refusal is None:
        return None
    assert refusal.verdict == "budget"
    assert refusal.over
    return refusal.why


class TestGpuHours:
    def test_they_are_counted_over_all_attempts(self, storage, limit, worker):
        held = claim(worker)
        execute(
            storage,
            "UPDATE tlsearch.attempts SET started_at = started_at - interval '30 min'",
        )
        worker.release(held, PREEMPTED, Curve(), None)
        held, other = claim(worker), claim(worker)
        execute(
            storage,
            "UPDATE tlsearch.attempts SET started_at = started_at - interval '15 min'"
            " WHERE ended_at IS NULL",
        )
        for each in (held, other):
            assert worker.report(each, Curve()) is None
        found = limit(gpu_hours=1)
        assert 1 <= found.gpu_hours_used < 1.1
        assert found.verdict == "budget"
        assert over(worker) == "its 1 GPU-hours are used up"
        assert worker.report(held, Curve()).verdict == "budget"
        limit(gpu_hours=1.5)
        assert over(worker) is None
        limit(gpu_hours=0.5)
        assert over(worker) == "its 0.5 GPU-hours are used up"
        limit(gpu_hours=None)
        assert over(worker) is None

    def test_a_silent_worker_uses_none(self, storage, storage_url, worker):
        """Up to its last heartbeat: nobody knows whether it lived longer."""
        claim(worker)
        silence(storage, 3600)
        assert read_controls(storage.engine, 1).gpu_hours_used < 0.1
        claim(worker_on(storage_url))
        assert attempts(storage)[0][2] == "stalled"
        assert read_controls(storage.engine, 1).gpu_hours_used < 0.1


class TestUntil:
    def test_a_time_that_comes(self, limit, worker):
        held = claim(worker)
        limit(until=datetime.now(UTC) + timedelta(hours=1))
        assert over(worker) is None
        assert worker.report(held, Curve()) is None
        limit(until=datetime.now(UTC) + timedelta(seconds=1))
        wait_for(lambda: over(worker))
        assert worker.report(held, Curve()).verdict == "budget"

    def test_a_time_in_the_past(self, limit, worker):
        found = limit(until=PAST)
        assert found.why == over(worker) == "its time was up at 2020-01-01 00:00:00 UTC"
        limit(until=None)
        assert over(worker) is None

    def test_zones(self, limit):
        there = datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=12)))
        assert limit(until=there).why == "its time was up at 2020-01-01 00:00:00 UTC"


class TestTarget:
    def test_a_complete_trial_ends_the_study(self, limit, worker):
        limit(target_accuracy=0.8)
        held = claim(worker)
        assert worker.report(held, Curve([1], [0.9])) is None, "only a complete trial counts"
        other = claim(worker)
        worker.prune(other, 0.95, Curve())
        assert over(worker) is None
        run_one(worker, 0.79)
        assert over(worker) is None
        run_one(worker, 0.8)
        assert over(worker) == "its target accuracy 0.8 is reached"
        assert worker.report(held, Curve()).why == over(worker)
        limit(target_accuracy=0.81)
        assert over(worker) is None
        limit(target_accuracy=0.5)
        assert over(worker) is not None
        limit(target_accuracy=None)
        assert over(worker) is None


class TestPatience:
    def test_trials_without_gain_end_the_study(self, limit, worker):
        limit(patience_trials=3)
        worker.fail(claim(worker), NAN, Curve())
        run_one(worker, 0.5)
        run_one(worker, 0.6)
        for _ in range(2):
            run_one(worker, 0.6)  # no gain: as good is not better
        assert over(worker) is None
        run_one(worker, 0.7)
        worker.fail(claim(worker), NAN, Curve())
        worker.prune(claim(worker), 0.9, Curve())
        assert over(worker) is None
        run_one(worker, 0.1)
        assert over(worker) == "3 trials in a row brought no better accuracy"
        limit(patience_trials=4)
        assert over(worker) is None
        limit(patience_trials=None)
        run_one(worker, 0.1)
        assert over(worker) is None

    def test_without_a_complete_trial_there_is_nothing_to_surpass(self, limit, worker):
        limit(patience_trials=1)
        for _ in range(3):
            worker.fail(claim(worker), NAN, Curve())
        assert over(worker) is None


class TestChanges:
    def test_only_what_is_given_changes(self, storage, limit):
        limit(gpu_hours=2, target_accuracy=0.9)
        limit(patience_trials=5, until=PAST)
        found = limit(trials=7)
        assert (found.trials, found.gpu_hours, found.until) == (7, 2, PAST)
        assert (found.target_accuracy, found.patience_trials) == (0.9, 5)
        assert limit() == found

    def test_two_changes_at_the_same_moment_are_both_kept(self, storage):
        """One waits for the other's transaction, and must not put its limit back."""
        change = threading.Thread(target=change_budget, args=(storage.engine, 1, {"trials": 7}))
        with storage.engine.begin() as connection:
            connection.execute(sa.text("UPDATE tlsearch.controls SET gpu_hours = 3"))
            change.start()
            wait_for(lambda: rows(storage, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        change.join()
        found = read_controls(storage.engine, 1)
        assert (found.trials, found.gpu_hours) == (7, 3)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"trials": 0}, "trials = 0: must be above 0"),
            ({"trials": -3}, "trials = -3: must be above 0"),
            ({"trials": 2.5}, "trials = 2.5: must be a whole number"),
            ({"trials": 2**31}, "must be a whole number up to 2147483647"),
            ({"trials": None}, "a study needs a number of trials"),
            ({"trials": float("inf")}, "trials = inf: must be above 0"),
            ({"patience_trials": float("nan")}, "patience_trials = nan: must be above 0"),
            ({"gpu_hours": 0}, "gpu_hours = 0: must be above 0"),
            ({"gpu_hours": float("nan")}, "gpu_hours = nan: must be above 0"),
            ({"gpu_hours": float("inf")}, "gpu_hours = inf: must be above 0"),
            ({"target_accuracy": 90}, "target_accuracy = 90: is a fraction"),
            ({"until": datetime(2030, 1, 1)}, "must be a time with its zone"),
            ({"until": "tomorrow"}, "must be a time with its zone"),
            ({"state": "stopped"}, "state: no such limit; there are trials,"),
            ({"trials; DROP TABLE studies": 1}, "no such limit"),
        ],
    )
    def test_what_is_no_limit_changes_nothing(self, storage, limit, changes, says):
        before = read_controls(storage.engine, 1)
        with pytest.raises(SpecError, match=says) as raised:
            limit(**{"patience_trials": 9} | changes)
        assert len(raised.value.problems) == 1
        assert read_controls(storage.engine, 1) == before

    def test_a_study_without_a_budget_says_how_to_fix_it(self, storage, limit, storage_url):
        """An older tlsearch, elsewhere, may create one in a database that a newer one uses."""
        execute(storage, "DELETE FROM tlsearch.controls")
        for steer in (pause_study, resume_study, lambda *_: limit(trials=3)):
            with pytest.raises(StudyError, match="run tlsearch db migrate"):
                steer("a", storage_url)
        migrate(storage_url)
        assert limit(trials=5).trials == 5

    def test_all_problems_at_once(self, limit):
        with pytest.raises(SpecError) as raised:
            limit(trials=0, gpu_hours=-1, target_accuracy=2)
        assert len(raised.value.problems) == 3


def test_what_is_kept_of_deleted_studies_is_swept(storage, worker):
    claim(worker)
    storage.delete_study(1)
    assert rows(storage, "SELECT 1 FROM tlsearch.controls")
    make_study(storage, "b")
    assert rows(storage, "SELECT study_id FROM tlsearch.controls") == [(2,)]
    assert rows(storage, "SELECT 1 FROM tlsearch.attempts") == []
