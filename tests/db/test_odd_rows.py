"""Names and attributes that no view may stumble over."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.db.rows import PARAMS, VIEWS, Rows, read_all
from tlsearch.store.connect import open_storage

ODD_NAMES = [
    "it's; DROP TABLE studies; --",
    'double "quotes"',
    "ünïcödé 学习 🚀",
    "%s %(x)s :name {brace} 100%",
    "back\\slash\nand line",
    "n" * 512,
    " spaces ",
    "tlsearch",
    "_%",
]

ODD_JSON = ["", "null", "NaN", "Infinity", "-1e999", "1e-999", '"\\u0000"', '"', "[1]", "{", "{}"]
ODD_JSON += ['{"fixed_features": "x", "random_init": [], "n_val": 1e99}', '"\\ud800"', "9" * 400]
ODD_JSON += ["[" * 20_000, '{"budget": {"trials": 1e400}}', "true", "-", "1.2.3", "0x10"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_works(rows: Rows, name: str) -> None:
    study_id, worker = rows.study(name, {"measures": '{"fit": 1}'}, trials=3), rows.worker(name)
    rows.study("another")
    trial_id = rows.trial(study_id, 0, value=0.5, params=PARAMS, curve=[0.5], origin=name)
    rows.attempt(study_id, trial_id, 1, worker, 0, 1, None, reason=name)
    rows.test(study_id, 1, {"figures": [{}]})
    # hyperparameters knows trials by their key; the trial is held, so it keeps no model yet; what
    # finalists shows is in a study of its own.
    for view in set(VIEWS) - {"hyperparameters", "kept_models", "finalists"}:
        found = rows.ask(f"SELECT study FROM tlsearch.{view} WHERE study = %s", name)
        assert found == [(name,)], view
    assert rows.ask("SELECT origin, worker FROM tlsearch.trials_flat") == [(name, None)]
    assert rows.ask("SELECT worker, reason FROM tlsearch.trial_attempts") == [(name, name)]
    assert rows.ask("SELECT study FROM tlsearch.kept_models") == []
    rows.ask("UPDATE tlsearch.attempts SET has_model = true, ended_at = now() RETURNING 1")
    assert rows.ask("SELECT study, trial FROM tlsearch.kept_models") == [(name, 0)]


def test_names_that_are_too_long_are_refused(rows: Rows) -> None:
    with pytest.raises(Exception, match="too long for type character varying"):
        rows.study("n" * 10_000)


def write_odd_study(rows: Rows) -> None:
    """A trial and a study with every attribute that a view reads, to be replaced by odd ones."""
    study_id = rows.study("odd", dict.fromkeys(("measures", "spec_hash", "spec"), "0"), trials=1)
    trial_id = rows.trial(study_id, 0, value=0.5)
    for name in ("origin", "canonical", "duplicate_of", "seconds", "attempt", "worker"):
        rows.attr(trial_id, name, "0")
    for name in ("reason", "reason_kind"):
        rows.attr(trial_id, name, "0")


@pytest.mark.parametrize("text", ODD_JSON)
def test_odd_attributes(storage_url: str, rows: Rows, text: str) -> None:
    write_odd_study(rows)
    rows.ask("UPDATE trial_user_attributes SET value_json = %s", text)
    rows.ask("UPDATE study_user_attributes SET value_json = %s", text)
    read_all(rows)
    rows.ask("UPDATE tlsearch.installed SET version = 0")
    open_storage(storage_url)
    assert rows.ask("SELECT trial FROM tlsearch.best_trials") == [(0,)]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_as_an_attribute(odd_study: Rows, text: str) -> None:
    odd_study.ask("UPDATE trial_user_attributes SET value_json = %s", text)
    odd_study.ask("UPDATE study_user_attributes SET value_json = %s", text)
    read_all(odd_study)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_as_an_attribute(odd_study: Rows, value: object) -> None:
    odd_study.ask("UPDATE trial_user_attributes SET value_json = %s", json.dumps(value))
    odd_study.ask("UPDATE study_user_attributes SET value_json = %s", json.dumps(value))
    read_all(odd_study)
    ((origin, seconds),) = odd_study.ask("SELECT origin, train_seconds FROM tlsearch.trials_flat")
    if isinstance(value, str) and "\0" not in value and value.isprintable():
        assert origin == value
    if isinstance(value, int | float) and 1e-90 < abs(value) < 1e15:
        assert isinstance(value, bool) or seconds == value


@pytest.fixture
def odd_study(rows: Rows) -> Rows:
    write_odd_study(rows)
    return rows


def test_numbers_at_the_edge(rows: Rows) -> None:
    study_id = rows.study("a", trials=2**31 - 1, patience_trials=2**31 - 1)
    for number in (0, 0, 2**31 - 1):  # Optuna's tables do not keep numbers from being twice
        trial_id = rows.trial(study_id, number, value=1e308, origin="default")
        for name, value in zip(
            PARAMS, (math.nan, math.inf, -1e308, 2**40, 0.5, -1, 0), strict=True
        ):
            rows.param(trial_id, name, value)
        rows.epoch(trial_id, 2**31 - 1, 1e308)
        rows.epoch(trial_id, -(2**31), -1e308)
    edge = {"first_epoch": 2**31 - 1, "last_epoch": 2**31 - 1, "checkpoint_epoch": 2**31 - 1}
    rows.attempt(study_id, trial_id, 1, rows.worker(), 0, 1e9, "stalled", **edge)
    read_all(rows)
