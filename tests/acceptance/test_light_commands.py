"""Commands that only use the database load neither torch nor anything as heavy.

`-X importtime` writes what a process imports as it does so, also where it ends by exec or a signal.
"""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command, wait_until
from tests.acceptance.study_rows import measure
from tests.conftest import free_port
from tests.db.rows import Rows
from tests.unit.test_tested import RESULT
from tlsearch.store.connect import open_storage

HEAVY = {"torch", "torchvision", "timm", "sklearn", "matplotlib", "ot"}
SLOW_TO_IMPORT = HEAVY | {"scipy", "boto3", "alembic", "sqlalchemy.orm"}


class Imports:
    """Runs commands and tells which modules they import."""

    def __init__(self, storage_url: str, tmp_path: Path) -> None:
        self.environment = os.environ | {"TLSEARCH_STORAGE": storage_url}
        self.stderr = tmp_path / "stderr"

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        with self.stderr.open("wb") as stderr:
            return subprocess.Popen(
                [sys.executable, "-X", "importtime", "-m", "tlsearch", *args],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def of(self, *args: str, rc: int = 0) -> set[str]:
        assert self.start(*args).wait(timeout=240) == rc, self.stderr.read_text()[-3000:]
        return self.found()

    def found(self) -> set[str]:
        names = re.findall(r"^import time:.*\|\s+([\w.]+)$", self.stderr.read_text(), re.M)
        assert "tlsearch" in names
        return set(names)


@pytest.fixture
def imports(storage_url, tmp_path) -> Imports:
    return Imports(storage_url, tmp_path)


@pytest.fixture
def spec(tlsearch: Command, tiny: Callable[..., Path], storage_url: str) -> Path:
    """The spec of a study that was created and measured."""
    path = tiny(measures="worker", trials=20)
    tlsearch.run("create", str(path))
    measure(open_storage(storage_url), "tiny")
    return path


def test_commands_that_read_and_steer(imports, spec):
    for args in (
        ["status", "tiny"],
        ["best", "tiny"],
        ["budget", "tiny"],
        ["budget", "tiny", "--trials", "30"],
        ["pause", "tiny"],
        ["resume", "tiny"],
        ["stop", "tiny"],
        ["db", "url"],
    ):
        assert imports.of(*args) & SLOW_TO_IMPORT == set(), args


def test_other_commands(imports, spec):
    for args in (
        ["enqueue", "tiny", "--set", "high_lr=0.02"],
        ["measures", "tiny"],
        ["prior", "tiny"],
        ["prior", "tiny", "--spec", str(spec)],
        ["prior", "tiny", "--spec", str(spec), "--apply"],
        ["db", "start"],
        ["db", "stop"],
        ["db", "migrate"],
        ["db", "psql", "-c", "SELECT 1"],
        ["delete", "tiny", "--yes"],
    ):
        assert imports.of(*args) & HEAVY == set(), args


def test_what_was_tested_is_shown(imports, spec, storage_url):
    rows = Rows(storage_url)
    ((study_id,),) = rows.ask("SELECT study_id FROM studies WHERE study_name = 'tiny'")
    rows.test(study_id, 1, RESULT.as_dict() | {"most_wrong": []})
    assert imports.of("test", "tiny") & HEAVY == set()


def test_matplotlib_is_for_drawing_alone(imports, spec, tmp_path):
    found = imports.of("prior", "tiny", "--picture", str(tmp_path / "prior.png"))
    assert found & HEAVY == {"matplotlib"}


def test_what_needs_torch_is_seen_here(imports):
    assert {"torch", "timm"} <= imports.of("layers", "test_efficientnet")


def test_errors_and_help(imports):
    assert imports.of("status", "nothing", rc=2) & HEAVY == set()
    assert imports.of("report", "nothing", "--out", "nowhere", rc=2) & HEAVY == set()
    assert imports.of("worker", "--help") & (SLOW_TO_IMPORT | {"optuna", "sqlalchemy"}) == set()


def test_the_dashboard(imports, spec):
    """Its studies, notes and pages are asked for, so that what it imports late is seen too."""
    port = free_port()
    process = imports.start("dashboard", "--port", str(port))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str) -> bytes:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            page: bytes = answer.read()
            return page

    try:
        wait_until(lambda: _answers(ask), "the dashboard answers")
        assert b"tiny" in ask("/api/studies")
        assert b"Optuna Dashboard" in ask("/dashboard")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
    assert imports.found() & HEAVY <= {"sklearn"}  # which optuna-dashboard itself imports


def _answers(ask) -> bool:
    try:
        return bool(ask("/api/meta"))
    except OSError:
        return False
