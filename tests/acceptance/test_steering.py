"""Steering a study while its workers run: pause, resume, stop, and another budget."""

from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from tests.acceptance.conftest import wait_until
from tests.acceptance.crashes import (
    SUFFIX,
    ask,
    attempts_of,
    curves_of,
    files_in,
    reported,
    start_worker,
    stopped,
)
from tests.pipes import read_line
from tlsearch.store.connect import open_storage

SOME = 60  # epochs: long enough to be caught under way, short enough to finish
LONG = 4000  # epochs: a trial that lasts until it is stopped
TAME = "high_lr = 0.01\nalpha = 0.0001\nbeta = 0.0001"  # no trial fails
# Every trial trains the same model, so those after the first take over its result.
ALIKE = """
reinit_layers = 1
high_lr = 0.01
low_lr_ratio = 1
low_layers = 0
alpha = 0.0001
beta = 0.0001
l2sp_layers = 0
"""
PAST = "2020-01-01T00:00+00:00"


@pytest.fixture
def artifacts(tmp_path, monkeypatch):
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


def wait_for_epochs(url, more=3):
    """Wait until so many more epochs are reported."""
    before = reported(url)
    wait_until(lambda: reported(url) >= before + more, "epochs are reported")


def wait_for_end(url, attempt=1):
    """Wait until an attempt at the only trial has ended, and return it."""

    def ended():
        return [a for a in attempts_of(url) if a.attempt == attempt and a.ended is not None]

    (found,) = wait_until(ended, f"attempt {attempt} ends")
    return found


@contextmanager
def two_workers(tlsearch, url):
    """Two that begin at the same moment, however long each takes to start."""
    tlsearch.run("pause", "tiny")
    with stopped(*(workers := [start_worker(url) for _ in range(2)])):
        sessions = "SELECT FROM tlsearch.worker_sessions"
        wait_until(lambda: len(ask(url, sessions)) == 2, "both are there")
        tlsearch.run("resume", "tiny")
        yield workers


def assert_left(worker):
    stdout, stderr = worker.communicate(timeout=120)
    assert (worker.returncode, stderr) == (0, ""), stdout
    return stdout


def assert_released(url, artifacts, why, attempt=1):
    """The trial waits with its curve and with the checkpoint of its last epoch; return that."""
    ended = wait_for_end(url, attempt)
    assert ended.ended == why
    assert ended.last_epoch == ended.checkpoint_epoch
    (trial,) = ask(url, "SELECT state, number FROM trials")
    assert (trial.state, trial.number) == ("WAITING", 0)
    (curve,) = curves_of(url).values()
    assert [epoch for epoch, _ in curve] == list(range(1, ended.last_epoch + 1))
    assert (artifacts / f"{ended.token}{SUFFIX}").exists()
    return ended.last_epoch


def assert_goes_on(url, last_epoch, attempt=2):
    """The trial trains again, from the epoch behind its checkpoint; no epoch is lost."""
    wait_for_epochs(url)
    now = attempts_of(url)[-1]
    assert (now.attempt, now.ended, now.first_epoch) == (attempt, None, last_epoch + 1)
    assert now.first_epoch > 1
    (curve,) = curves_of(url).values()
    assert [epoch for epoch, _ in curve] == list(range(1, len(curve) + 1))


def test_one_worker_is_paused_resumed_and_stopped(tlsearch, tiny, storage_url, artifacts):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    with stopped(worker := start_worker(storage_url)):
        wait_for_epochs(storage_url)
        paused = tlsearch.json("pause", "tiny")
        assert (paused["state"], paused["why"]) == ("paused", "the study is paused")
        assert paused["over"] is False
        last_epoch = assert_released(storage_url, artifacts, "paused")
        wait_until(lambda: "the study is paused" in read_line(worker), "it waits")
        assert tlsearch.json("status", "tiny")["state"] == "paused"
        resumed = tlsearch.json("resume", "tiny")
        assert (resumed["state"], resumed["over"], resumed["why"]) == ("running", False, None)
        assert_goes_on(storage_url, last_epoch)
        tlsearch.run("pause", "tiny")
        assert_released(storage_url, artifacts, "paused", attempt=2)
        assert tlsearch.json("stop", "tiny")["state"] == "stopped"
        assert "study 'tiny' was stopped" in assert_left(worker)
    assert len({a.worker_id for a in attempts_of(storage_url)}) == 1


@pytest.mark.slow
def test_a_stopped_study_waits_for_resume_and_a_worker(tlsearch, tiny, storage_url, artifacts):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    with stopped(*(workers := [start_worker(storage_url) for _ in range(2)])):
        wait_for_epochs(storage_url)
        said = tlsearch.run("stop", "tiny").stdout
        assert said.startswith("tiny: stopped (the study was stopped)\n  budget: 1 trials,")
        for worker in workers:
            assert "study 'tiny' was stopped" in assert_left(worker)
    last_epoch = assert_released(storage_url, artifacts, "stopped")
    assert tlsearch.json("worker", "tiny") == []
    assert len(attempts_of(storage_url)) == 1
    assert tlsearch.run("resume", "tiny").stdout.startswith("tiny: running\n")
    with stopped(start_worker(storage_url)):
        assert_goes_on(storage_url, last_epoch)


@pytest.mark.slow
def test_more_trials_while_two_workers_run(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=1, epochs=SOME, space=ALIKE)))
    with two_workers(tlsearch, storage_url) as workers:
        wait_for_epochs(storage_url)
        assert tlsearch.json("budget", "tiny", "--trials", "30")["trials"] == 30
        for worker in workers:
            assert_left(worker)
    states = ask(storage_url, "SELECT number, state FROM trials ORDER BY number")
    assert [tuple(row) for row in states] == [(n, "COMPLETE") for n in range(30)]
    assert {a.attempt for a in attempts_of(storage_url)} == {1}
    assert len({a.worker_id for a in attempts_of(storage_url)}) == 2
    shown = tlsearch.json("budget", "tiny")
    assert (shown["over"], shown["why"]) == (True, "its budget of 30 trials is spent")


@pytest.mark.slow
def test_fewer_trials_while_two_workers_run(tlsearch, tiny, storage_url):
    """What is under way may end, and nothing else begins."""
    tlsearch.run("create", str(tiny(trials=50, epochs=SOME, space=TAME)))
    with two_workers(tlsearch, storage_url) as workers:
        held = "SELECT FROM tlsearch.attempts WHERE last_epoch > 0 AND ended IS NULL"
        wait_until(lambda: len(ask(storage_url, held)) == 2, "two trials are under way")
        tlsearch.run("budget", "tiny", "--trials", "1")
        for worker in workers:
            assert "its budget of 1 trials is spent" in assert_left(worker)
    assert [a.ended for a in attempts_of(storage_url)] == ["complete"] * 2
    assert tlsearch.json("worker", "tiny") == []


def in_a_second():
    return (datetime.now(UTC) + timedelta(seconds=1)).isoformat()


@pytest.mark.parametrize(
    ("option", "limit", "why"),
    [
        ("--until", lambda: PAST, "its time was up at 2020-01-01 00:00:00 UTC"),
        pytest.param("--until", in_a_second, "its time was up at", marks=pytest.mark.slow),
        pytest.param(
            "--gpu-hours", lambda: "1e-9", "its 1e-09 GPU-hours are used up", marks=pytest.mark.slow
        ),
    ],
)
def test_a_limit_that_is_reached_and_taken_away(
    tlsearch, tiny, storage_url, artifacts, option, limit, why
):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    with stopped(worker := start_worker(storage_url)):
        wait_for_epochs(storage_url)
        tlsearch.run("budget", "tiny", option, limit())
        assert why in assert_left(worker)
    last_epoch = assert_released(storage_url, artifacts, "budget")
    shown = tlsearch.json("budget", "tiny")
    assert (shown["over"], shown["state"]) == (True, "running")
    assert why in shown["why"]
    assert tlsearch.json("worker", "tiny") == []
    assert tlsearch.json("budget", "tiny", option, "none")["over"] is False
    with stopped(start_worker(storage_url)):
        assert_goes_on(storage_url, last_epoch)


def test_a_target_that_is_reached(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=3)))
    assert tlsearch.json("budget", "tiny", "--target", "0.0001")["target_accuracy"] == 0.0001
    assert len(tlsearch.json("worker", "tiny")) == 1
    said = tlsearch.run("worker", "tiny").stdout
    assert "trials run: 0; study 'tiny' is done: its target accuracy 0.0001 is reached" in said
    assert tlsearch.json("budget", "tiny", "--target", "1")["over"] is False
    assert len(tlsearch.json("worker", "tiny", "--trials", "1")) == 1
    assert tlsearch.json("budget", "tiny", "--target", "none")["target_accuracy"] is None
    assert len(tlsearch.json("worker", "tiny")) == 1


def test_trials_in_a_row_without_gain(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=8, space=ALIKE)))
    tlsearch.run("budget", "tiny", "--patience", "3")
    assert len(tlsearch.json("worker", "tiny")) == 4
    assert tlsearch.json("budget", "tiny")["why"] == "3 trials in a row brought no better accuracy"
    tlsearch.run("budget", "tiny", "--patience", "5")
    assert len(tlsearch.json("worker", "tiny")) == 2
    assert tlsearch.json("budget", "tiny", "--patience", "none")["over"] is False
    assert len(tlsearch.json("worker", "tiny")) == 2


def test_the_budget_is_shown(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=6)))
    first = {
        "state": "running",
        "trials": 6,
        "gpu_hours": None,
        "gpu_hours_used": 0.0,
        "until": None,
        "target_accuracy": None,
        "patience_trials": None,
        "over": False,
        "why": None,
    }
    assert tlsearch.json("budget", "tiny") == first
    said = tlsearch.run("budget", "tiny").stdout
    assert said == "tiny: running\n  budget: 6 trials, 0.00 GPU-hours used\n"
    limits = {"--trials": 9, "--gpu-hours": 12, "--target": 0.95, "--patience": 20}
    given = [str(word) for pair in limits.items() for word in pair]
    tlsearch.run("budget", "tiny", *given, "--until", "2099-12-24T18:00+01:00")
    shown = tlsearch.json("budget", "tiny")
    assert datetime.fromisoformat(shown.pop("until")) == datetime(2099, 12, 24, 17, tzinfo=UTC)
    changed = {"trials": 9, "gpu_hours": 12.0, "target_accuracy": 0.95, "patience_trials": 20}
    assert shown == {name: value for name, value in (first | changed).items() if name != "until"}
    said = tlsearch.run("budget", "tiny").stdout
    assert "budget: 9 trials, 0.00 of 12 GPU-hours used, until 2099-12-24 " in said
    assert said.endswith(", target 95.0 %, at most 20 trials in a row without gain\n")
    assert "budget: 9 trials" in tlsearch.run("status", "tiny").stdout


def test_a_time_without_a_zone_is_of_this_machine(tlsearch, tiny):
    tlsearch.run("create", str(tiny()))
    there = datetime.fromisoformat("2099-07-01T12:00").astimezone()
    shown = tlsearch.json("budget", "tiny", "--until", "2099-07-01T12:00")
    assert datetime.fromisoformat(shown["until"]) == there


HUGE = "1" + 400 * "0"


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--trials", ["0", "-1", "nan", "abc", "none", "1.5", "", str(10**12), HUGE]),
        ("--gpu-hours", ["0", "-1", "nan", "inf", "abc", "", "1e-999"]),
        ("--until", ["tomorrow", "0", "-1", "nan", "", "2026-13-01", "0001-01-01", "9999-12-31"]),
        ("--target", ["0", "-1", "nan", "2", "abc", "90%", ""]),
        ("--patience", ["0", "-1", "nan", "1.5", "abc", "", str(10**12), HUGE]),
    ],
)
def test_bad_limits_change_nothing(tlsearch, tiny, option, values):
    tlsearch.run("create", str(tiny()))
    tlsearch.run("budget", "tiny", "--gpu-hours", "3", "--patience", "4", "--target", "0.9")
    before = tlsearch.json("budget", "tiny")
    other = ["--patience", "7"] if option != "--patience" else ["--trials", "7"]
    for value in values:
        done = tlsearch.run("budget", "tiny", f"{option}={value}", *other, rc=2)
        assert_one_sentence(done)
        assert tlsearch.json("budget", "tiny") == before, value


def assert_one_sentence(done):
    assert done.stdout == ""
    if done.stderr.startswith("error: "):
        assert len(done.stderr.splitlines()) == 1
    else:
        assert done.stderr.startswith("Usage: ")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("budget", [f"{2**31}", f"6\npatience_trials = {2**31}"])
def test_a_spec_with_too_large_a_budget(tlsearch, tiny, storage_url, budget):
    said = tlsearch.run("create", str(tiny(trials=budget)), rc=2).stderr
    assert said.endswith("= 2147483648: must be less than 2147483648\n")
    assert open_storage(storage_url).get_all_studies() == []


def test_every_bad_limit_is_named(tlsearch, tiny):
    tlsearch.run("create", str(tiny()))
    said = tlsearch.run("budget", "tiny", "--trials=0", "--target=2", "--gpu-hours=-1", rc=2).stderr
    assert said.splitlines() == [
        "error: trials = 0: must be above 0",
        "error: gpu_hours = -1: must be above 0",
        "error: target_accuracy = 2: is a fraction, at most 1; 0.9 is 90 %",
    ]


@pytest.mark.parametrize("command", ["pause", "resume", "stop", "budget"])
def test_no_such_study(tlsearch, tiny, command):
    tlsearch.run("create", str(tiny()))
    more = ["--trials", "7"] if command == "budget" else []
    for args in ([command, "tinny"], [command, "tinny", "--json"], [command, "tinny", *more]):
        done = tlsearch.run(*args, rc=2)
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            "error: study 'tinny' does not exist in this database; did you mean tiny?"
        ]
    assert tlsearch.json("status", "tiny")["state"] == "running"


ORDER = (
    "SELECT study_name AS study FROM tlsearch.attempts JOIN studies USING (study_id)"
    " ORDER BY started_at"
)


def test_one_worker_takes_trials_of_two_studies_in_turn(tlsearch, tiny, storage_url):
    for name, trials in (("tiny", 2), ("other", 4)):
        tlsearch.run("create", str(tiny(name, trials=trials, epochs=1)))
    assert len(tlsearch.json("worker", "tiny", "other", "tiny")) == 6
    order = [row.study for row in ask(storage_url, ORDER)]
    assert order == ["tiny", "other", "tiny", "other", "other", "other"]
    assert tlsearch.json("worker", "tiny", "other") == []


@pytest.mark.slow
def test_a_worker_on_a_paused_study_and_another(tlsearch, tiny, storage_url):
    for name in ("tiny", "other"):
        tlsearch.run("create", str(tiny(name, trials=3, epochs=1)))
    tlsearch.run("pause", "tiny")
    with stopped(worker := start_worker(storage_url, "other")):
        ended = "SELECT FROM tlsearch.attempts WHERE ended = 'complete'"
        wait_until(lambda: len(ask(storage_url, ended)) == 3, "one study is done")
        wait_until(lambda: "the study is paused" in read_line(worker), "the other one waits")
        tlsearch.run("resume", "tiny")
        assert_left(worker)
    order = [row.study for row in ask(storage_url, ORDER)]
    assert order == ["other"] * 3 + ["tiny"] * 3


def holds_trial_of(url, study):
    return [row.study for row in ask(url, HELD)] == [study]


def test_a_study_is_paused_while_a_worker_has_its_trial(tlsearch, tiny, storage_url, artifacts):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    tlsearch.run("create", str(tiny("other", trials=1, epochs=LONG)))
    with stopped(worker := start_worker(storage_url, "other")):
        wait_for_epochs(storage_url)
        for paused, works in (("tiny", "other"), ("other", "tiny")):
            tlsearch.run("resume", works)
            tlsearch.run("pause", paused)
            wait_until(partial(holds_trial_of, storage_url, works), f"it works on {works}")
            wait_for_epochs(storage_url)
        tlsearch.run("stop", "tiny")
        tlsearch.run("stop", "other")
        assert_left(worker)
    counts = Counter(row.study for row in ask(storage_url, ORDER))
    assert counts == {"tiny": 2, "other": 1}
    assert len(files_in(artifacts)) == 2


HELD = (
    "SELECT study_name AS study FROM tlsearch.attempts JOIN studies USING (study_id)"
    " WHERE ended IS NULL"
)


def test_a_day_without_a_time_is_its_end(tlsearch, tiny):
    tlsearch.run("create", str(tiny()))
    for text in ("2036-12-24", "20361224"):
        until = tlsearch.json("budget", "tiny", "--until", text)["until"]
        assert datetime.fromisoformat(until) == datetime(2036, 12, 24, 23, 59, 59).astimezone()
    until = tlsearch.json("budget", "tiny", "--until", "2036-12-24T00:00+05:00")["until"]
    assert datetime.fromisoformat(until) == datetime(2036, 12, 23, 19, tzinfo=UTC)
    today = datetime.now().astimezone().date().isoformat()
    assert not tlsearch.json("budget", "tiny", "--until", today)["over"]
    for text in ("2036-13-01", "tomorrow", "24.12.2036", "2036-12-24T25:00"):
        assert "give a time such as" in tlsearch.run("budget", "tiny", "--until", text, rc=2).stderr


def test_a_name_is_set_once(tlsearch, tiny):
    tlsearch.run("create", str(tiny()))
    twice = ["--set", "high_lr=0.01", "--set", " high_lr =0.02"]
    assert "high_lr is set twice" in tlsearch.run("enqueue", "tiny", *twice, rc=2).stderr
    assert tlsearch.json("status", "tiny")["counts"]["waiting"] == 1
