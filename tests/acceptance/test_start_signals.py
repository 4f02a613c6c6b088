"""Signals while a command starts: it ends at once with the right code, never with a traceback."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SIGNALS = [(signal.SIGTERM, 143, "terminated\n"), (signal.SIGINT, 130, "interrupted\n")]


STARTING = "starting ..."  # what a command prints that takes longer, on a busy machine


def told(stdout: str) -> list[str]:
    """Return the lines of output, without those that say that a command has begun."""
    return [line for line in stdout.splitlines() if not line.startswith(STARTING)]


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, as the kernel tells."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def start(argv: list[str], storage_url: str) -> subprocess.Popen[str]:
    """Start a process and wait until our handler of SIGTERM is there, soon after Python itself."""
    process = subprocess.Popen(
        [sys.executable, *argv],
        env=os.environ | {"TLSEARCH_STORAGE": storage_url},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not catches(process.pid, signal.SIGTERM) and time.monotonic() < deadline:
        time.sleep(0.001)
    return process


def end(process: subprocess.Popen[str], number: int) -> str:
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr, stderr
    return stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "code", "words"), SIGNALS)
def test_at_any_moment(storage_url, number, code, words):
    """From the first import to the moment at which torch and all else is loaded."""
    argv = ["-m", "tlsearch", "measure", "nothing"]
    process = start(argv, storage_url)
    began = time.monotonic()
    process.communicate(timeout=240)
    assert process.returncode == 2, "undisturbed, the study is found missing"
    longest = time.monotonic() - began
    generator = random.Random(number)
    n_stopped = 0
    while n_stopped < 24:
        process = start(argv, storage_url)
        time.sleep(generator.uniform(0, longest))
        stderr = end(process, number)
        if "error: study 'nothing' does not exist" in stderr:  # faster than before: it was over
            assert process.returncode in (2, -number)
            longest *= 0.8
        else:
            assert (process.returncode, stderr) == (code, words)
            n_stopped += 1


@pytest.mark.parametrize(("number", "code", "words"), SIGNALS)
def test_inside_an_import_that_would_catch_it(
    storage_url, tmp_path, monkeypatch, number, code, words
):
    """As libraries do: `try: import x` with an `except` of everything, or from C."""
    (tmp_path / "torch.py").write_text(
        "import sys, time\n"
        "sys.stdout.write('importing\\n'); sys.stdout.flush()\n"
        "try:\n    time.sleep(60)\nexcept BaseException:\n    print('caught')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    process = start(["-m", "tlsearch", "measure", "nothing"], storage_url)
    assert process.stdout is not None
    line = process.stdout.readline()
    while line.startswith(STARTING):
        line = process.stdout.readline()
    assert line == "importing\n"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, told(stdout), stderr) == (code, [], words)


def test_an_ignored_sigint_stays_ignored(storage_url, tmp_path, monkeypatch):
    """As a shell gives it to what it starts with `&`."""
    (tmp_path / "torch.py").write_text(
        "import os, signal, sys\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.stdout.write('still here\\n'); sys.stdout.flush(); os._exit(9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(["-m", "tlsearch", "measure", "nothing"], storage_url)
    finally:
        signal.signal(signal.SIGINT, before)
    assert told(process.communicate(timeout=60)[0]) == ["still here"]
    assert process.returncode == 9
