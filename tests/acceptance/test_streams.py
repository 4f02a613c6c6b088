"""Streams, encodings and widths as editors, CI and full disks have them; real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from tests.acceptance.study_rows import add_trial, measure
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study

NAME = "größe 猫"


@pytest.fixture
def study(tlsearch, tiny, storage_url):
    """A study with a prior and a trial, whose name few encodings take."""
    tlsearch.run("create", str(tiny(NAME, measures="worker")))
    database = open_storage(storage_url)
    found = find_study(database, NAME)
    measure(database, NAME)
    add_trial(database, found, 0.8)
    return found


def run(storage_url: str, *args: str, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **env: str):
    return subprocess.run(
        [sys.executable, "-m", "tlsearch", *args],
        env=os.environ | {"TLSEARCH_STORAGE": storage_url, **env},
        stdout=stdout,
        stderr=stderr,
        timeout=120,
        check=False,
    )


COMMANDS = [["status"], ["best"], ["measures"], ["prior"], ["status", "--json"], ["best", "--json"]]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_takes_the_output(study, storage_url, encoding):
    for command, *options in COMMANDS if encoding in ("ascii", "utf-8") else [["prior"]]:
        done = run(storage_url, command, NAME, *options, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, b""), command
        shown = done.stdout.decode(encoding)
        if options:
            assert json.loads(shown)
        elif encoding == "utf-8":
            assert command != "prior" or "█" in shown
        else:
            assert "\\u2588" not in shown, "the density has characters that every encoding has"
    done = run(storage_url, "status", NAME, "--json", PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout)["name"] == NAME


@pytest.mark.parametrize("width", ["0", "-1", "", "wide", "1", "²", "99999999999999999999"])
def test_any_width(study, storage_url, width):
    sizes = {"COLUMNS": width, "LINES": width, "TERMINAL_WIDTH": width}
    done = run(storage_url, "status", NAME, **sizes)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"trials done" in done.stdout
    assert run(storage_url, "status", "--help", **sizes).returncode == 0


@pytest.mark.parametrize(
    "args", [["status", NAME], ["best", NAME, "--json"], ["--version"], ["-h"]]
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_standard_output(study, storage_url, args, unbuffered):
    with Path("/dev/full").open("wb") as full:
        done = run(storage_url, *args, stdout=full, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "error: standard output cannot be written (No space left on device); make room, or send "
        "it elsewhere\n"
    )


def test_a_full_disk_under_both(study, storage_url):
    with Path("/dev/full").open("wb") as full:
        assert run(storage_url, "status", NAME, stdout=full, stderr=full).returncode == 2
        assert run(storage_url, "status", "no such", stdout=full, stderr=full).returncode == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams(study, storage_url, closed):
    command = f"{sys.executable} -m tlsearch status '{NAME}' {closed}"
    env = os.environ | {"TLSEARCH_STORAGE": storage_url}
    done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"trials done" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_a_pipe_that_nobody_reads(study, storage_url):
    for args in (["status", NAME], ["best", NAME, "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        with open(write, "wb") as pipe:
            done = run(storage_url, *args, stdout=pipe)
        assert (done.returncode, done.stderr) == (1, b"")


def test_a_worker_trains_on_where_its_output_has_no_room(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=2)))
    with Path("/dev/full").open("wb") as full:
        done = run(storage_url, "worker", "tiny", stdout=full)
        assert done.returncode == 2
        assert b"progress cannot be shown, work goes on" in done.stderr
        assert b"standard output cannot be written" in done.stderr
        assert tlsearch.json("status", "tiny")["counts"]["complete"] == 2


def test_values_that_json_has_not(tlsearch, tiny, storage_url):
    """Another program has written them; a trial without an accuracy is never the best one."""
    tlsearch.run("create", str(tiny()))
    study = optuna.load_study(study_name="tiny", storage=open_storage(storage_url))
    for value in (float("inf"), 0.5, float("-inf")):
        study.add_trial(
            optuna.trial.create_trial(
                value=value, user_attrs={"seconds": float("nan"), "worker": [1], "origin": 7}
            )
        )

    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    found = json.loads(
        tlsearch.run("best", "tiny", "--json", "--top", "9").stdout, parse_constant=refuse
    )
    assert [trial["val_accuracy"] for trial in found] == [0.5, None, None]
    assert {trial["seconds"] for trial in found} == {None}
    assert "50.0 %" in tlsearch.run("best", "tiny").stdout
    assert "best 50.0 %" in tlsearch.run("status", "tiny").stdout


def test_a_trial_that_another_program_runs(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny()))
    study = optuna.load_study(study_name="tiny", storage=open_storage(storage_url))
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
    shown = tlsearch.run("status", "tiny").stdout
    assert "trial 1 runs in a program other than tlsearch, epoch 0 done, val -" in shown
    assert "None" not in shown


def test_what_could_not_be_measured_is_not_yet_to_be_measured(tlsearch, tiny, storage_url):
    from tlsearch.store.measures import note_unmeasured

    tlsearch.run("create", str(tiny(measures="worker")))
    assert "not measured yet" in tlsearch.run("status", "tiny").stdout
    database = open_storage(storage_url)
    note_unmeasured(database, find_study(database, "tiny").study_id, "the disk is on fire")
    shown = tlsearch.run("status", "tiny").stdout
    assert "could not be measured, the search has no prior (the disk is on fire)" in shown
    assert "not measured yet" not in shown
    assert tlsearch.json("status", "tiny")["unmeasured"] == "the disk is on fire"
