"""`--log-level` and `--log-json` of the worker, the launcher and the dashboard server."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.conftest import wait_until
from tests.acceptance.test_launcher import children
from tests.acceptance.test_workers import LONG, running
from tests.conftest import free_port


def records(stderr: str) -> list[dict[str, object]]:
    """Read standard error, which must hold one JSON object a line and nothing else."""
    found = [json.loads(line) for line in stderr.splitlines()]
    for record in found:
        assert record.keys() >= {"time", "level", "logger", "message"}, record
        age = datetime.now(UTC) - datetime.fromisoformat(record["time"])
        assert timedelta(0) <= age < timedelta(hours=1), record
    return found


@pytest.mark.slow
def test_a_launcher_and_its_workers_write_json(tlsearch, tiny, storage_url):
    """One worker is killed and starts again; then all are asked to stop."""
    tlsearch.run("create", str(tiny(trials=2, epochs=LONG, space="high_lr = 0.01")))
    options = ["--processes", "2", "--log-level", "info", "--log-json"]
    launcher = tlsearch.start("worker", "tiny", *options)
    wait_until(lambda: len(running(storage_url, epochs=1)) == 2, "both workers train")
    workers = children(launcher.pid)
    assert len(workers) == 2
    for pid in workers:
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        assert {"--log-level=info", "--log-json"} <= set(arguments)
    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: len(set(children(launcher.pid)) - {workers[0]}) == 2, "it starts again")
    launcher.send_signal(signal.SIGTERM)
    stdout, stderr = launcher.communicate(timeout=240)
    assert launcher.returncode == 143, stderr
    assert "cpu/1  tiny  reading the images ..." in stdout
    found = records(stderr)
    own = [record for record in found if record["logger"] == "tlsearch.launcher.supervisor"]
    messages = [str(record["message"]) for record in own]
    assert {record["slot"] for record in own} == {"cpu/1", "cpu/2"}
    assert len([m for m in messages if re.fullmatch(r"worker started, pid \d+", m)]) == 3
    assert "worker was killed by SIGKILL" in messages
    assert "worker crashed, restarts in 1 s" in messages
    assert messages.count("ended: interrupted, trials: 0") == 2
    (warning,) = [r for r in found if str(r["message"]).endswith("starts again in 1 s")]
    assert str(warning["message"]).startswith("the worker was killed by SIGKILL")
    assert "{" not in str(warning["message"])
    assert (warning["level"], warning["logger"]) == ("warning", "tlsearch.launcher")


def test_errors_are_records_too(tlsearch, tmp_path, monkeypatch):
    done = tlsearch.run("worker", "cars", "--log-json", rc=2)
    (record,) = records(done.stderr)
    assert (record["level"], record["logger"]) == ("error", "tlsearch")
    assert str(record["message"]).startswith("study 'cars' does not exist")
    assert tlsearch.run("worker", "cars", rc=2).stderr.startswith("error: study 'cars' does not")


def test_lines_that_are_no_records_become_some(tlsearch, tiny, tmp_path, monkeypatch):
    """As the last words of a broken driver."""
    tlsearch.run("create", str(tiny()))
    (tmp_path / "torch.py").write_text("import os, sys\nsys.stderr.write('oh\\n')\nos._exit(2)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    done = tlsearch.run_process("worker", "tiny", "--processes", "1", "--log-json")
    assert done.returncode == 2
    (record,) = records(done.stderr)
    assert (record["message"], record["slot"], record["level"]) == ("oh", "cpu/1", "warning")


def test_the_dashboard_logs(tlsearch, storage_url):
    port = str(free_port())
    for options, pattern in [
        ([], rf"[\d:, -]+ INFO tlsearch.dashboard.serve: listening on .*{port}"),
        (["--log-json"], rf'{{"time": .*"message": "listening on .*{port}"}}'),
    ]:
        process = tlsearch.start("dashboard", "--port", port, "--log-level", "info", *options)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("optuna-dashboard on http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 143
        first, *_, last = stderr.splitlines()
        assert re.fullmatch(pattern, first), stderr
        assert "stopped" in last


def test_a_level_that_does_not_exist(tlsearch):
    done = tlsearch.run("worker", "cars", "--log-level", "loud", rc=2)
    assert "--log-level" in done.stderr
    assert "'loud'" in done.stderr


def test_warnings_and_exceptions_are_records():
    """And exceptions come with their traceback."""
    code = (
        "import logging, warnings; from tlsearch.cli.logs import *\n"
        "set_up_logging(LogLevel.WARNING, as_json=True)\n"
        "warnings.warn('old')\n"
        "log = logging.getLogger('tlsearch.x')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: log.exception('no', extra={'trial': 3})\n"
        "log.info('not seen')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    warning, failure = records(done.stderr)
    assert warning["logger"] == "py.warnings"
    assert (failure["trial"], failure["level"]) == (3, "error")
    assert "ZeroDivisionError" in str(failure["exception"])
