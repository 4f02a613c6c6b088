"""Signals while a worker prepares, in a real process whose import would catch an exception."""

import os
import signal
import subprocess
import sys

import pytest

IMPORTED = """
import sys, time
print("importing", flush=True)
try:
    time.sleep(0.5)
except BaseException:
    print("caught", flush=True)
print("imported", flush=True)
"""
WORKER = """
import sys, time
from tlsearch.worker.signals import StopSignals
signals = StopSignals()
try:
    with signals.listening():
        if sys.argv[1] == "holding":
            signals.hold()
        import imported_by_the_test
        if sys.argv[1] == "holding":
            print("asked by", signals.by, signals.requested.is_set(), flush=True)
            signals.release()
        time.sleep(60)
except KeyboardInterrupt:
    print("cleaned up", flush=True)
    sys.exit(130)
except SystemExit:
    print("cleaned up", flush=True)
    raise
"""


@pytest.fixture
def ended(tmp_path):
    """Start the worker, send signals inside its import; return exit code, stdout, stderr."""
    (tmp_path / "imported_by_the_test.py").write_text(IMPORTED)

    def run(mode: str, *numbers: int) -> tuple[int, list[str], str]:
        path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, mode],
            env=os.environ | {"PYTHONPATH": path},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "importing\n"
        for number in numbers:
            worker.send_signal(number)
        stdout, stderr = worker.communicate(timeout=60)
        return worker.returncode, stdout.splitlines(), stderr

    return run


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_import_is_finished_first(ended, number, code):
    assert ended("free", number) == (code, ["imported", "cleaned up"], "")


def test_while_a_trial_is_held_it_is_noted_at_once(ended):
    code, stdout, stderr = ended("holding", signal.SIGTERM)
    assert (code, stdout) == (143, ["imported", "asked by SIGTERM True", "cleaned up"])
    assert stderr.startswith("SIGTERM: the trial under way goes back into the queue")
