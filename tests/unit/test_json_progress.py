"""JSON progress in a process whose launcher dies."""

import subprocess
import sys

WORKER = """
import signal, sys, time
from tlsearch.cli.json_progress import JsonProgress, stop_with_launcher
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
progress = JsonProgress()
stop_with_launcher(progress)
for _ in range(100):
    progress.preparing("images")
    time.sleep(0.01)
open(sys.argv[1], "w").write(str(len(asked)))
"""


def test_stdin_that_ends_and_stdout_that_is_closed_are_one_request_to_stop(tmp_path):
    """A second SIGTERM would end the worker before it has released its trial."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "asked")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline().startswith(b'{"event": "preparing"')
    worker.stdout.close()
    worker.stdin.close()
    assert worker.wait(timeout=60) == 0
    assert (tmp_path / "asked").read_text() == "1"
