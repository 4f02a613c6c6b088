"""Odd names of studies: refused in a sentence when created, or good for every command."""

import json
import re
import shlex

import pytest

from tests.acceptance.crashes import ask
from tlsearch.store.connect import open_storage

GOOD = {
    "quotes": 'it\'s "so"; `so`',
    "backslashes": r"C:\new\table\\",
    "format": "100% {} {0} {name} %s %(x)s %",
    "parameters": ":name $1 ? @x",
    "sql": "'; DROP TABLE studies; --",
    "markup": "[red]bold[/red] [/] :smile: <b>&amp;",
    "two lines": "one\ntwo",
    "combining": "cafe\u0301",
    "right to left": "\u202e\u05d3\u05d5\u05d2\u05de\u05d4 \u0645\u062b\u0627\u0644",
    "emoji": "\U0001f469\u200d\U0001f52c \U0001f389",
    "a path": "../../etc/passwd",
    "a space": " ",
    "long": "long" * 50,
}
BAD = {
    "empty": ("", "must have at least 1 character"),
    "too long": ("x" * 10_000, "must have at most 200 characters"),
    "NUL": ("a\0b", "must not contain a NUL character"),
    "an option": ("--json", "commands would read it as an option"),
    "a dash": ("-", "commands would read it as an option"),
    "measures": ("photos/measures", "choose another"),
    "unfinished": ("tlsearch-being-created-1", "choose another"),
}
MISSING = [*GOOD.values(), *(name for name, _ in BAD.values()), "caf\udce9", "\ud800"]
COMMANDS = {
    "status": [],
    "best": [],
    "budget": ["--trials", "3"],
    "pause": [],
    "resume": [],
    "stop": [],
    "enqueue": ["--set", "high_lr=0.02"],
    "measure": [],
    "measures": [],
    "prior": [],
    "worker": [],
    "delete": ["--yes"],
}


def spec_of(tiny, name, **more):
    return str(tiny(json.dumps(name, ensure_ascii=False)[1:-1], trials=1, epochs=1, **more))


def names_in(url):
    return {study.study_name for study in open_storage(url).get_all_studies()}


def refused(tlsearch, *args):
    """Run a command that must be refused in one sentence, and return that."""
    done = tlsearch.run(*args, rc=2)
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("error: ")
    return sentence


@pytest.mark.parametrize("name", GOOD.values(), ids=GOOD)
def test_every_command_takes_it(tlsearch, tiny, storage_url, name):
    def run(command, *options):
        return tlsearch.run(command, *options, "--", name).stdout

    def answer(command, *options):
        return json.loads(run(command, "--json", *options))

    tlsearch.run("create", str(tiny()))
    assert tlsearch.json("create", spec_of(tiny, name))["name"] == name
    again = tlsearch.run("create", spec_of(tiny, name)).stdout
    assert again.startswith(f"study {name!r} exists with this very spec")
    assert answer("status")["name"] == name
    assert f"{name}: 0 of 1 trials done\n" in run("status")
    assert f"no trial of study {name!r} is complete yet" in run("best")
    for command, state in (("pause", "paused"), ("stop", "stopped"), ("resume", "running")):
        assert answer(command)["state"] == state
        assert run(command).startswith(f"{name}: {state}")
    assert answer("budget", "--trials", "2")["trials"] == 2
    assert answer("enqueue", "--set", "high_lr=0.02")["number"] == 1
    for command in ("measures", "prior"):
        assert "has no measures" in refused(tlsearch, command, "--", name)
    assert len(answer("worker", "--trials", "1")) == 1
    said = run("worker")
    assert f"study {name!r} is done: its budget of 2 trials is spent" in said
    hint = shlex.split(said[said.rindex("tlsearch best") :].rstrip(")\n"))
    assert "val_accuracy" in tlsearch.run(*hint[1:]).stdout
    assert len(answer("best", "--top", "5")) == 2
    best = "SELECT rank FROM tlsearch.best_trials WHERE study = :name ORDER BY rank"
    assert [row.rank for row in ask(storage_url, best, name=name)] == [1, 2]
    overview = "SELECT state, complete FROM tlsearch.study_overview WHERE study = :name"
    assert [tuple(row) for row in ask(storage_url, overview, name=name)] == [("done", 2)]
    assert answer("delete", "--yes")["name"] == name
    assert names_in(storage_url) == {"tiny"}


def test_a_measured_study_of_an_odd_name(tlsearch, tiny, storage_url):
    name = 'it\'s [/] "50%" \U0001f389'
    tlsearch.run("create", spec_of(tiny, name, measures="worker"))
    assert names_in(storage_url) == {name, f"{name}/measures"}
    for command in ("measures", "prior"):
        assert "has not been measured yet" in refused(tlsearch, command, "--", name)
    assert "not measured yet" in tlsearch.run("status", "--", name).stdout
    tlsearch.run("measure", "--", name)
    tlsearch.run("worker", "--", name)
    for command in ("measures", "prior"):
        assert tlsearch.run(command, "--", name).stdout
    assert "is deleted" in tlsearch.run("delete", "--yes", "--", name).stdout
    assert names_in(storage_url) == set()


@pytest.mark.parametrize(("name", "why"), BAD.values(), ids=BAD)
def test_what_create_refuses(tlsearch, tiny, storage_url, name, why):
    said = refused(tlsearch, "create", spec_of(tiny, name))
    assert "name = " in said
    assert why in said
    assert names_in(storage_url) == set()


@pytest.mark.parametrize("table", ["data.path", "backbone.weights", "checkpoints.folder"])
def test_nul_in_other_values(tlsearch, tiny, storage_url, table):
    spec = tiny(more="\n[checkpoints]\nfolder = 'here'")
    key = table.split(".")[1]
    spec.write_text(re.sub(rf"(?m)^{key} = .*$", rf'{key} = "a\\u0000b.pt"', spec.read_text()))
    said = refused(tlsearch, "create", str(spec))
    assert f'{table} = "a\\u0000b.pt": must not contain a NUL character' in said


def test_names_that_look_alike_are_of_different_studies(tlsearch, tiny, storage_url):
    alike = {"cafe\u0301", "caf\u00e9", "CAF\u00c9", "caf\u00e9 ", "caf%", "caf_"}
    for name in sorted(alike):
        assert tlsearch.json("create", spec_of(tiny, name))["created"] is True
    tlsearch.run("pause", "caf%")
    tlsearch.run("delete", "--yes", "caf_")
    assert names_in(storage_url) == alike - {"caf_"}
    paused = ask(storage_url, "SELECT study FROM tlsearch.study_overview WHERE state = 'paused'")
    assert [row.study for row in paused] == ["caf%"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_such_study(tlsearch, tiny, storage_url, command):
    tlsearch.run("create", str(tiny()))
    for name in MISSING:
        said = refused(tlsearch, command, *COMMANDS[command], "--", name)
        assert said.startswith(f"error: study {name!r} does not exist in this database")
    assert names_in(storage_url) == {"tiny"}


def test_no_such_study_among_several(tlsearch, tiny):
    tlsearch.run("create", str(tiny()))
    for name in MISSING:
        assert "does not exist" in refused(tlsearch, "worker", "--", "tiny", name)
    assert tlsearch.json("status", "tiny")["counts"]["waiting"] == 1
