"""Views of studies, workers and what was spent, on rows with known answers."""

import json
from typing import Any

import pytest

from tests.db.rows import Rows
from tlsearch.records import Measures


class TestStudyOverview:
    def test_counts_and_accuracies(self, rows: Rows) -> None:
        study_id = rows.study("a", {"spec_hash": '"abc"'}, trials=9, gpu_hours=2.0)
        default = rows.trial(study_id, 0, value=0.5, end=10, origin="default")
        rows.trial(study_id, 1, value=0.8, end=20, origin="tpe")
        rows.trial(study_id, 2, "PRUNED", end=30)
        rows.trial(study_id, 3, "FAIL", end=40)
        rows.trial(study_id, 4, "RUNNING")
        rows.trial(study_id, 5, "WAITING")
        rows.trial(study_id, 6, value=0.7, end=5, origin="fixed_features")
        rows.attempt(study_id, default, 1, rows.worker(), 0, 1800, "complete")
        rows.study("tlsearch-being-created-1234")
        (found,) = rows.names("SELECT * FROM tlsearch.study_overview")
        assert found == {
            "study": "a",
            "state": "running",
            **{"waiting": 1, "running": 1, "complete": 3, "pruned": 1, "fail": 1},
            **{"trials_begun": 6, "budget_trials": 9},
            **{"gpu_hours_used": 0.5, "budget_gpu_hours": 2.0, "budget_until": None},
            "budget_target_accuracy": None,
            **{"trials_since_best": 2, "budget_patience_trials": None},
            **{"best_trial": 1, "best_val_accuracy": 0.8, "default_val_accuracy": 0.5},
            "fixed_features_val_accuracy": 0.7,
            **{"objective": None, "best_val_objective": 0.8, "default_val_objective": 0.5},
            "fixed_features_val_objective": 0.7,
            "spec_hash": "abc",
        }

    @pytest.mark.parametrize(
        ("limits", "state"),
        [
            ({"trials": 3}, "running"),
            ({"trials": 2}, "done"),
            ({"trials": 3, "state": "paused"}, "paused"),
            ({"trials": 2, "state": "stopped"}, "stopped"),
            ({"trials": 3, "gpu_hours": 0.5}, "done"),
            ({"trials": 3, "gpu_hours": 0.6}, "running"),
            ({"trials": 3, "until": "2026-01-01"}, "done"),
            ({"trials": 3, "until": "2999-01-01"}, "running"),
            ({"trials": 3, "target_accuracy": 0.8}, "done"),
            ({"trials": 3, "target_accuracy": 0.81}, "running"),
            ({"trials": 3, "patience_trials": 1}, "done"),
            ({"trials": 3, "patience_trials": 2}, "running"),
        ],
    )
    def test_state_as_workers_see_it(self, rows: Rows, limits: dict[str, Any], state: str) -> None:
        study_id = rows.study("a", **limits)
        first = rows.trial(study_id, 0, value=0.8, end=10)
        rows.trial(study_id, 1, value=0.7, end=20)
        rows.attempt(study_id, first, 1, rows.worker(), 0, 1800, "complete")
        assert rows.ask("SELECT state FROM tlsearch.study_overview") == [(state,)]
        ((verdict,),) = rows.ask("SELECT verdict FROM tlsearch.refusal(%s, 0)", study_id)
        assert {"budget": "done", None: "running"}.get(verdict, verdict) == state

    def test_of_equals_the_one_that_ended_first_counts(self, rows: Rows) -> None:
        study_id = rows.study("a", trials=9, patience_trials=2)
        for number, end in enumerate((30, 10, 20)):
            rows.trial(study_id, number, value=0.5 if number == 2 else 0.8, end=end)
        shown = "SELECT best_trial, trials_since_best, state FROM tlsearch.study_overview"
        assert rows.ask(shown) == [(0, 2, "done")]
        assert rows.ask("SELECT tlsearch.trials_without_gain(%s)", study_id) == [(2,)]

    def test_trials_under_way(self, rows: Rows) -> None:
        study_id = rows.study("a", trials=1)
        rows.trial(study_id, 0, "RUNNING")
        assert rows.ask("SELECT state FROM tlsearch.study_overview") == [("running",)]

    def test_other_programs_studies(self, rows: Rows) -> None:
        rows.trial(rows.study("theirs", directions=["MINIMIZE"]), 0, value=0.1)
        shown = "SELECT state, budget_trials, best_val_accuracy FROM tlsearch.study_overview"
        assert rows.ask(shown) == [(None, None, 0.1)]


def test_workers(rows: Rows) -> None:
    study_id = rows.study("a")
    done, held, lost = (rows.trial(study_id, n, "RUNNING") for n in range(3))
    working = rows.worker("working", host="h1", pid=7)
    rows.attempt(study_id, done, 1, working, 0, 10, "complete")
    rows.attempt(study_id, held, 2, working, 20, 10, None)
    rows.worker("idle")
    silent = rows.worker("silent", last_seen_at="2026-03-01", stalled_after_seconds=60)
    rows.attempt(study_id, lost, 1, silent, 0, 10, None)
    left = {"last_seen_at": "2026-03-01", "left_at": "2026-03-01", "left_because": "study done"}
    rows.worker("left", **left)
    shown = "worker, state, study, trial, attempt, trials_ended, left_because"
    assert rows.ask(f"SELECT {shown} FROM tlsearch.workers ORDER BY worker") == [
        ("idle", "idle", None, None, None, 0, None),
        ("left", "left", None, None, None, 0, "study done"),
        ("silent", "silent", "a", 2, 1, 0, None),
        ("working", "working", "a", 1, 2, 1, None),
    ]
    silence = dict(rows.ask("SELECT worker, seconds_silent FROM tlsearch.workers"))
    assert silence["left"] is None
    assert 0 <= silence["working"] < 60 < silence["silent"]
    known = "SELECT host, pid, device, device_name FROM tlsearch.workers WHERE state = 'working'"
    assert rows.ask(known) == [("h1", 7, "cuda:0", "H100")]


class TestLostTime:
    """Seconds of attempts that brought nothing; each attempt here takes 10 seconds an epoch."""

    @pytest.fixture
    def study_id(self, rows: Rows) -> int:
        return rows.study("a")

    def attempts(
        self, rows: Rows, study_id: int, state: str, *given: tuple[Any, ...]
    ) -> list[float]:
        """Write a trial and its attempts: ended, first and last epoch, checkpoint."""
        trial_id = rows.trial(study_id, 0, state)
        worker = rows.worker()
        for number, (ended, first, last, checkpoint) in enumerate(given, 1):
            epochs = {"first_epoch": first, "last_epoch": last, "checkpoint_epoch": checkpoint}
            seconds = 10 * max(1, (last or 0) + 1 - first)
            rows.attempt(study_id, trial_id, number, worker, 0, seconds, ended, **epochs)
        shown = "SELECT lost_seconds FROM tlsearch.trial_attempts ORDER BY attempt"
        return [row[0] for row in rows.ask(shown)]

    def test_of_a_trial_in_one_piece_nothing(self, rows: Rows, study_id: int) -> None:
        assert self.attempts(rows, study_id, "COMPLETE", ("complete", 1, 5, 4)) == [0]

    def test_of_a_pruned_one_nothing(self, rows: Rows, study_id: int) -> None:
        assert self.attempts(rows, study_id, "PRUNED", ("pruned", 1, 2, None)) == [0]

    def test_of_a_failed_one_all(self, rows: Rows, study_id: int) -> None:
        given = [("stalled", 1, 2, 2), ("error", 3, 4, None), ("fail", 3, None, None)]
        assert self.attempts(rows, study_id, "FAIL", *given) == [20, 20, 10]

    def test_handed_over_without_loss(self, rows: Rows, study_id: int) -> None:
        given = [("preempted", 1, 3, 3), ("complete", 4, 5, None)]
        assert self.attempts(rows, study_id, "COMPLETE", *given) == [0, 0]

    def test_stalled_behind_its_checkpoint(self, rows: Rows, study_id: int) -> None:
        given = [("stalled", 1, 4, 3), ("complete", 3, 5, None)]
        assert self.attempts(rows, study_id, "COMPLETE", *given) == [20, 0]

    def test_a_later_attempt_began_again(self, rows: Rows, study_id: int) -> None:
        given = [("preempted", 1, 3, 3), ("stalled", 4, 4, 4), ("complete", 1, 5, None)]
        assert self.attempts(rows, study_id, "COMPLETE", *given) == [30, 10, 0]

    def test_back_in_the_queue(self, rows: Rows, study_id: int) -> None:
        assert self.attempts(rows, study_id, "WAITING", ("preempted", 1, 4, 3)) == [10]

    def test_before_the_first_epoch_ended(self, rows: Rows, study_id: int) -> None:
        given = [("stalled", 1, None, None), ("preempted", 1, None, 0), (None, 1, None, None)]
        assert self.attempts(rows, study_id, "RUNNING", *given) == [10, 0, 0]

    def test_gpu_hours(self, rows: Rows, study_id: int) -> None:
        first, second = rows.worker(device_name="H100"), rows.worker(device_name="H200")
        done, failed, held = (
            rows.trial(study_id, n, s) for n, s in enumerate(("COMPLETE", "FAIL", "RUNNING"))
        )
        stalled = {"first_epoch": 1, "last_epoch": 2, "checkpoint_epoch": 1}
        rows.attempt(study_id, done, 1, first, 0, 3600, "stalled", **stalled)
        rows.attempt(study_id, done, 2, second, 0, 1800, "complete", first_epoch=2, last_epoch=2)
        rows.attempt(study_id, failed, 1, first, 0, 7200, "fail", last_epoch=1)
        rows.attempt(study_id, held, 1, first, 0, 360, None)
        found = rows.ask("SELECT * FROM tlsearch.gpu_hours ORDER BY device_name, ended")
        assert found == [
            ("a", "H100", "fail", 1, 2.0, 0.0, 2.0),
            ("a", "H100", "held", 1, 0.1, 0.1, 0.0),
            ("a", "H100", "stalled", 1, 1.0, 0.5, 0.5),
            ("a", "H200", "complete", 1, 0.5, 0.5, 0.0),
        ]
        ((used,),) = rows.ask("SELECT tlsearch.gpu_hours_used(%s)", study_id)
        assert used == pytest.approx(sum(row[4] for row in found))


def test_measures(rows: Rows) -> None:
    taken = Measures(0.7, 1.0, 0.6, 10, 5.0, 2.0, 0.1, 12.5, 0.88, "a proxy", None, 200, 1, 2, 3)
    rows.study("a", {"measures": json.dumps(taken.as_dict())})
    rows.study("b")
    (found,) = rows.names("SELECT * FROM tlsearch.measures")
    assert found.pop("study") == "a"
    assert found.pop("fit") == pytest.approx(taken.fit)
    assert found == taken.as_dict()
