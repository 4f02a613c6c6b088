"""Views of trials, on rows with known answers."""

import math
from datetime import UTC
from typing import Any

import optuna

from tests.db.rows import CHOICE, PARAMS, VIEWS, Rows, at, read_all
from tlsearch.store.connect import open_storage
from tlsearch.store.trials import best_first, trial_records


def test_views_and_columns_have_comments(rows: Rows) -> None:
    found = rows.ask(
        "SELECT relname, attname, col_description(attrelid, attnum),"
        " obj_description(attrelid, 'pg_class') FROM pg_attribute JOIN pg_class"
        " ON pg_class.oid = attrelid WHERE relnamespace = 'tlsearch'::regnamespace"
        " AND relkind = 'v' AND attnum > 0"
    )
    assert {row[0] for row in found} == set(VIEWS)
    assert [row for row in found if not row[2] or not row[3]] == []


def test_an_empty_database(rows: Rows) -> None:
    read_all(rows)
    assert [rows.ask(f"SELECT count(*) FROM tlsearch.{view}")[0][0] for view in VIEWS] == [0] * len(
        VIEWS
    )


class TestBestTrials:
    def test_ranks_in_each_study(self, rows: Rows) -> None:
        a, b = rows.study("a"), rows.study("b")
        for number, value in enumerate((0.5, 0.7, 0.6, 0.7)):
            rows.trial(a, number, value=value)
        rows.trial(a, 4, "PRUNED", 0.9)
        rows.trial(a, 5, "RUNNING", curve=[0.9])
        rows.trial(b, 0, value=0.2)
        shown = "SELECT study, rank, trial, val_accuracy FROM tlsearch.best_trials ORDER BY 1, 2"
        assert rows.ask(shown) == [
            ("a", 1, 1, 0.7),
            ("a", 2, 3, 0.7),
            ("a", 3, 2, 0.6),
            ("a", 4, 0, 0.5),
            ("b", 1, 0, 0.2),
        ]
        top = "SELECT trial FROM tlsearch.best_trials WHERE study = 'a' ORDER BY rank LIMIT 2"
        assert rows.ask(top) == [(1,), (3,)]

    def test_columns(self, rows: Rows) -> None:
        study_id, worker = rows.study("a"), rows.worker()
        trial_id = rows.trial(study_id, 3, value=0.5, params=PARAMS, curve=[0.1, 0.5], origin="tpe")
        rows.attempt(study_id, trial_id, 1, worker, 0, 10, "preempted", last_epoch=1)
        rows.attempt(study_id, trial_id, 2, worker, 100, 20, "complete", last_epoch=2)
        rows.expected(study_id, trial_id, 0.45, 0.03)
        (found,) = rows.names("SELECT * FROM tlsearch.best_trials")
        assert found == {
            "study": "a",
            "rank": 1,
            "trial": 3,
            "val_accuracy": 0.5,
            "expected_accuracy": 0.45,
            "expected_accuracy_sd": 0.03,
            **{"objective": "accuracy", "val_objective": 0.5},
            **{"expected_objective": 0.45, "expected_objective_sd": 0.03},
            **PARAMS,
            "origin": "tpe",
            "epochs": 2,
            "seconds": 30,
            "mean_with_fixed_features": None,
        }

    def test_fixed_features_are_no_point_of_the_space(self, rows: Rows) -> None:
        study_id = rows.study("a")
        rows.trial(study_id, 0, value=0.8, params=PARAMS, origin="fixed_features")
        rows.trial(study_id, 1, value=0.7, params=PARAMS, mean_with_fixed_features=0.85)
        floor, trial = rows.names("SELECT * FROM tlsearch.best_trials ORDER BY rank")
        assert {floor[name] for name in PARAMS} == {None}
        assert {name: trial[name] for name in PARAMS} == PARAMS
        assert (floor["epochs"], floor["mean_with_fixed_features"]) == (None, None)
        assert trial["mean_with_fixed_features"] == 0.85

    def test_without_attempts_and_hyperparameters(self, rows: Rows) -> None:
        trial_id = rows.trial(rows.study("a"), 0, value=0.5, curve=[0.1, 0.5], seconds=7.5)
        rows.param(trial_id, "alpha", 1.0, CHOICE)
        rows.param(trial_id, "dropout", 0.1)
        (found,) = rows.names("SELECT * FROM tlsearch.best_trials")
        assert (found["epochs"], found["seconds"], found["origin"]) == (2, 7.5, None)
        assert {found[name] for name in PARAMS} == {None}

    def test_other_programs_studies(self, rows: Rows) -> None:
        loss = rows.study("loss", directions=["MINIMIZE"])
        for number, value in enumerate((0.5, 0.2, 0.9)):
            rows.trial(loss, number, value=value)
        rows.value(rows.trial(loss, 3), None, "INF_POS")
        rows.value(rows.trial(loss, 4), None, "INF_NEG")
        rows.trial(loss, 5)
        two = rows.study("two", directions=["MINIMIZE", "MAXIMIZE"])
        rows.trial(two, 0, value=1.0)
        shown = "SELECT trial, val_accuracy FROM tlsearch.best_trials ORDER BY rank"
        assert rows.ask(shown) == [(4, -math.inf), (1, 0.2), (0, 0.5), (2, 0.9), (3, math.inf)]

    def test_top_k_looks_up_k_trials(self, rows: Rows) -> None:
        study_id = rows.study("a")
        for number in range(200):
            rows.trial(study_id, number, value=number / 200, params=PARAMS, origin="tpe")
        rows.ask("ANALYZE")
        rows.ask("SET enable_seqscan = off")  # the table is too small for the planner to care
        query = "SELECT * FROM tlsearch.best_trials WHERE study = 'a' ORDER BY rank LIMIT 5"
        ((plan,),) = rows.ask(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        assert loops(plan[0]["Plan"], "trial_params") == 5
        narrow = "SELECT trial, val_accuracy FROM tlsearch.best_trials WHERE study = 'a'"
        ((plan,),) = rows.ask(f"EXPLAIN (ANALYZE, FORMAT JSON) {narrow}")
        assert loops(plan[0]["Plan"], "trial_params") == 0


def loops(plan: dict[str, Any], table: str) -> int:
    """Return how often a plan looked into a table."""
    here: int = plan["Actual Loops"] if plan.get("Relation Name") == table else 0
    return here + sum(loops(each, table) for each in plan.get("Plans", ()))


class TestTrialsFlat:
    def test_every_state(self, rows: Rows) -> None:
        study_id = rows.study("a")
        rows.trial(study_id, 0, value=0.6, curve=[0.5, 0.7])
        rows.trial(study_id, 1, "PRUNED", 0.9, curve=[0.3, 0.4])
        rows.trial(study_id, 2, "RUNNING", curve=[0.2])
        rows.trial(study_id, 3, "FAIL", reason_kind="nan", reason="the loss is not finite")
        rows.trial(study_id, 4, "WAITING", origin="default")
        shown = (
            "SELECT trial, state, val_accuracy, epochs, origin, reason_kind, reason"
            " FROM tlsearch.trials_flat"
        )
        assert rows.ask(f"{shown} ORDER BY trial") == [
            (0, "complete", 0.6, 2, None, None, None),
            (1, "pruned", 0.4, 2, None, None, None),
            (2, "running", 0.2, 1, None, None, None),
            (3, "fail", None, None, None, "nan", "the loss is not finite"),
            (4, "waiting", None, None, "default", None, None),
        ]

    def test_columns(self, rows: Rows) -> None:
        study_id, worker = rows.study("a"), rows.worker()
        canonical = {**PARAMS, "alpha": 0.0}
        trial_id = rows.trial(
            study_id,
            3,
            value=0.5,
            params=PARAMS,
            curve=[0.1, 0.5],
            begin=100,
            end=120,
            origin="prior",
            canonical=canonical,
            seconds=14.25,
            attempt=2,
            worker="gpu-1:7:cuda:0",
            duplicate_of=1,
            mean_with_fixed_features=0.55,
            right_alone=7,
            fixed_features_right_alone=3,
            seed=17,
        )
        rows.attempt(study_id, trial_id, 1, worker, 0, 10, "preempted", last_epoch=1)
        rows.attempt(study_id, trial_id, 2, worker, 100, 20, "complete", first_epoch=2)
        rows.expected(study_id, trial_id, 0.45, 0.03)
        rows.ask("SET timezone = 'Asia/Tokyo'")
        (found,) = rows.names("SELECT * FROM tlsearch.trials_flat")
        assert found == {
            "study": "a",
            "trial": 3,
            "state": "complete",
            "val_accuracy": 0.5,
            "expected_accuracy": 0.45,
            "expected_accuracy_sd": 0.03,
            **{"objective": "accuracy", "val_objective": 0.5},
            **{"expected_objective": 0.45, "expected_objective_sd": 0.03},
            **{"val_balanced_accuracy": None, "val_macro_f1": None, "val_log_loss": None},
            "val_mean_average_precision": None,
            "epochs": 2,
            "origin": "prior",
            **PARAMS,
            "canonical": canonical,
            "duplicate_of": 1,
            "mean_with_fixed_features": 0.55,
            "right_alone": 7,
            "fixed_features_right_alone": 3,
            "seed": 17,
            "train_on": "train",
            "seconds": 30,
            "train_seconds": 14.25,
            "attempts": 2,
            "resumed_epochs": 1,
            "worker": "gpu-1:7:cuda:0",
            "reason_kind": None,
            "reason": None,
            "started_at": at(0).replace(tzinfo=UTC),
            "ended_at": at(120).replace(tzinfo=UTC),
        }

    def test_as_python_reads_them(self, storage_url: str, rows: Rows) -> None:
        storage = open_storage(storage_url)
        study = optuna.create_study(storage=storage, study_name="a", direction="maximize")

        def objective(trial: optuna.Trial) -> float:
            for name in ("reinit_layers", "low_layers", "l2sp_layers"):
                trial.suggest_int(name, 1, 9)
            for name in ("high_lr", "low_lr_ratio", "alpha", "beta"):
                trial.suggest_float(name, 1e-5, 1, log=True)
            for epoch in (1, 2, 3):
                trial.report(trial.number / 10 + epoch / 100, epoch)
            trial.set_user_attr("origin", 'ä "quoted" \\ \u2028')
            if trial.number % 3 == 1:
                raise optuna.TrialPruned
            return float(trial.params["high_lr"])

        study.optimize(objective, n_trials=9)
        records = trial_records(storage, study._study_id)
        best = rows.names("SELECT * FROM tlsearch.best_trials ORDER BY rank")
        assert [row["trial"] for row in best] == [r.number for r in best_first(records)]
        flat = rows.names("SELECT * FROM tlsearch.trials_flat ORDER BY trial")
        for row, record in zip(flat, records, strict=True):
            assert record.params is not None
            assert {name: row[name] for name in PARAMS} == record.params.as_dict()
            for name in ("state", "val_accuracy", "epochs", "origin"):
                assert row[name] == getattr(record, name)


def test_learning_curves(rows: Rows) -> None:
    trial_id = rows.trial(rows.study("a"), 2, "RUNNING", curve=[0.1, 0.3])
    rows.epoch(trial_id, 3, None, "NAN")
    rows.epoch(trial_id, 4, None, "INF_NEG")
    found = rows.ask("SELECT * FROM tlsearch.learning_curves ORDER BY epoch")
    assert found[0] == ("a", 2, 1, 0.1, "accuracy", 0.1)
    assert found[1] == ("a", 2, 2, 0.3, "accuracy", 0.3)
    assert math.isnan(found[2][3])
    assert found[3] == ("a", 2, 4, -math.inf, "accuracy", -math.inf)
