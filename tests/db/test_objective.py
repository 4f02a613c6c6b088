"""A study that makes the log loss least: in views, limits, ranks, notes and finalists."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console

from tests.db.rows import Rows
from tests.db.searches import N_VAL, NAME, write_search
from tlsearch.cli import status as status_module
from tlsearch.cli.display import status_as_json, trial_as_json
from tlsearch.cli.finals_table import finals_as_json, finals_lines
from tlsearch.dashboard.notes import write_note
from tlsearch.records import FIXED_FEATURES
from tlsearch.records.right import VAL_VALUES, values_as_text
from tlsearch.store.connect import open_storage
from tlsearch.store.expected import write_expected
from tlsearch.store.finals import settle_default
from tlsearch.store.runs import run_trials
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study
from tlsearch.studies.finalists import queue_finalists
from tlsearch.studies.finals import read_finals
from tlsearch.studies.read import StudyReader

LOSSES = (0.5, 0.9, 0.4, 0.6)  # of fixed features, the plain default, and two others
ACCURACIES = (0.8, 0.7, 0.75, 0.9)


@pytest.fixture
def storage(storage_url: str) -> RDBStorage:
    return open_storage(storage_url)


@pytest.fixture
def search(storage: RDBStorage) -> StoredStudy:
    study = write_search(storage, objective="log_loss")
    plain = study.space.plain_default()
    for number, (loss, accuracy) in enumerate(zip(LOSSES, ACCURACIES, strict=True)):
        params = replace(plain, high_lr=0.02 + 0.01 * number, reinit_layers=2)
        params = plain if number == 1 else params
        attrs = {
            "origin": (FIXED_FEATURES, "default", "tpe", "tpe")[number],
            **{"objective": "log_loss", "score_error": 0.02, "seconds": 2.0},
            **{"val_accuracy": accuracy, "val_log_loss": loss, "val_macro_f1": 0.6},
            "canonical": params.canonical(study.space.n_body_layers).as_dict(),
        }
        curve = {1: -loss - 0.1, 2: -loss}
        storage.create_new_trial(
            study.study_id,
            create_trial(
                state=TrialState.COMPLETE,
                value=-loss,
                params=params.as_dict(),
                distributions=dict(study.space.distributions()),
                user_attrs=attrs,
                intermediate_values=curve,
            ),
        )
    write_expected(storage.engine, study.study_id, {n: (-0.45, 0.03) for n in range(4)})
    return study


def end_run(storage: RDBStorage, study: StoredStudy, run: FrozenTrial) -> None:
    """End a queued run as a worker does: the finalist has 0.3 nats less than the default."""
    attrs, trial_id = run.user_attrs, run._trial_id
    kind = attrs["origin"]
    loss = {FIXED_FEATURES: 0.7, "finalist": 0.4}.get(kind, 0.7)
    values = -np.random.default_rng(attrs["seed"]).uniform(loss - 0.2, loss + 0.2, N_VAL)
    if kind != FIXED_FEATURES:
        for name, value in run.system_attrs["fixed_params"].items():
            known = study.space.distributions()[name]
            storage.set_trial_param(trial_id, name, value, known)
    more = {"objective": "log_loss", "val_accuracy": 0.75, "seconds": 1.0}
    for key, value in {**more, VAL_VALUES: values_as_text(values)}.items():
        storage.set_trial_user_attr(trial_id, key, value)
    storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [float(values.mean())])


def test_views_and_limits(rows: Rows, search: StoredStudy) -> None:
    best = rows.names("SELECT * FROM tlsearch.best_trials ORDER BY rank")
    assert [(row["trial"], row["val_objective"]) for row in best] == [
        *((2, 0.4), (0, 0.5), (3, 0.6), (1, 0.9))
    ]
    shown = {"objective": "log_loss", "val_accuracy": 0.75, "expected_accuracy": None}
    shown |= {"expected_objective": 0.45, "expected_objective_sd": 0.03}
    assert {name: best[0][name] for name in shown} == shown
    flat = rows.names("SELECT * FROM tlsearch.trials_flat ORDER BY trial")
    assert [row["val_accuracy"] for row in flat] == list(ACCURACIES)
    assert [row["val_objective"] for row in flat] == [row["val_log_loss"] for row in flat]
    assert {name: flat[2][name] for name in shown} == shown
    curve = "SELECT val_accuracy, objective, val_objective FROM tlsearch.learning_curves"
    found = rows.ask(f"{curve} WHERE trial = 2 ORDER BY epoch")
    assert found == [(None, "log_loss", 0.5), (None, "log_loss", 0.4)]
    (overview,) = rows.names("SELECT * FROM tlsearch.study_overview")
    expected = {"objective": "log_loss", "best_trial": 2, "best_val_objective": 0.4}
    expected |= {"best_val_accuracy": 0.75, "default_val_accuracy": 0.7}
    expected |= {"default_val_objective": 0.9, "fixed_features_val_accuracy": 0.8}
    expected |= {"fixed_features_val_objective": 0.5, "trials_since_best": 1, "state": "running"}
    assert {name: overview[name] for name in expected} == expected
    # A target is one of accuracy, whichever trial is the best; patience goes by the objective.
    for target, state in ((0.91, "running"), (0.9, "done")):
        rows.ask("UPDATE tlsearch.controls SET target_accuracy = %s", target)
        assert rows.ask("SELECT state FROM tlsearch.study_overview") == [(state,)]
    verdict = f"SELECT verdict, why FROM tlsearch.verdict({search.study_id})"
    assert rows.ask(verdict) == [("budget", "its target accuracy 0.9 is reached")]
    rows.ask("UPDATE tlsearch.controls SET target_accuracy = NULL, patience_trials = 1")
    assert rows.ask(verdict) == [("budget", "1 trials in a row brought no better log loss")]


def test_what_commands_and_the_note_show(
    storage: RDBStorage, storage_url: str, search: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = StudyReader(NAME, storage_url)
    best = reader.best()
    assert [trial.number for trial in best] == [2, 0, 3, 1]
    as_json = trial_as_json(best[0])
    assert as_json["objective"] == "log_loss"
    assert (as_json["val_objective"], as_json["val_accuracy"]) == (0.4, 0.75)
    assert (as_json["expected_objective"], as_json["expected_accuracy"]) == (0.45, None)
    assert status_as_json(reader.status())["default_val_objective"] == 0.9
    text = io.StringIO()
    monkeypatch.setattr(status_module, "console", Console(file=text, width=300))
    status_module.status(NAME, storage_url)
    status_module.best(NAME, storage_url, top=4)
    lines = " ".join(text.getvalue().split())
    assert "plain fine-tuning default log loss 0.900, accuracy 70.0 %" in lines
    assert "best log loss 0.400, accuracy 75.0 % (trial 2), expected 0.450 ± 0.030" in lines
    assert "recommended: trial 2, log loss 0.400 on validation" in lines
    assert "trial val_log_loss expected val_accuracy reinit_layers" in lines
    assert "2 0.400 0.450 ± 0.030 75.0 %" in lines
    assert "val_log_loss: the objective, smaller is better" in lines
    assert write_note(storage, search)
    attrs = storage.get_study_system_attrs(search.study_id)
    assert attrs["study:metric_names"] == ["neg_log_loss"]
    note = "".join(str(v) for k, v in sorted(attrs.items()) if k.startswith("dashboard:note_str"))
    assert "log loss on the validation images after the last epoch times -1" in note
    assert "Fixed features alone have **log loss 0.500, accuracy 80.0 %**" in note


def test_finalists(storage: RDBStorage, storage_url: str, rows: Rows, search: StoredStudy) -> None:
    queue_finalists(NAME, storage_url, top=2, seeds=2)
    member = find_study(storage, f"{NAME}/finalists")
    assert member.spec.objective == "log_loss"
    for _ in range(2):  # the rates of the default first, then what follows
        for run in run_trials(storage, member.study_id):
            if not run.state.is_finished():
                end_run(storage, member, run)
        settle_default(storage, member.study_id)
    finals = read_finals(NAME, storage_url)
    assert finals is not None
    assert finals.complete
    assert finals.objective == "log_loss"
    assert finals.recommended == finals.winner
    assert all(each.is_clear and 0.25 < each.gain < 0.35 for each in finals.comparisons)
    lines = "\n".join(finals_lines(finals))
    assert f"{finals.winner} over default: +0.3" in lines
    assert "a gain in log loss is by how much less there is of it" in lines
    assert "is ahead of default by 0.3" in (finals.why or "")
    found = json.loads(json.dumps(finals_as_json(finals)))["finalists"][0]
    assert found["mean"] == pytest.approx(0.4, abs=0.05)
    assert found["mean_accuracy"] == 0.75
    assert found["runs"][0]["val_objective"] == pytest.approx(0.4, abs=0.05)
    (row,) = rows.names("SELECT * FROM tlsearch.finalists WHERE finalist = 'default'")
    assert (row["objective"], row["mean"]) == ("log_loss", 0.75)
    assert row["mean_objective"] == pytest.approx(0.7, abs=0.05)
