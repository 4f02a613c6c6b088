"""`tlsearch worker --processes N`: workers kept running, with real processes and signals."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import wait_until
from tests.acceptance.test_workers import LONG, SOME, records_of, running


def children(pid):
    shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [map(int, line.split()) for line in shown.stdout.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def gone(pids):
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def both_train(url, launcher):
    """Wait until two workers have reported epochs; return their pids."""
    wait_until(lambda: len(running(url, epochs=1)) == 2, "both workers report epochs")
    pids = children(launcher.pid)
    assert len(pids) == 2
    return pids


@pytest.mark.slow
def test_two_processes_share_a_study_exactly(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=13)))
    done = tlsearch.run_process("worker", "tiny", "--processes", "2", "--json")
    assert done.returncode == 0, done
    slots = json.loads(done.stdout)
    assert [slot["slot"] for slot in slots] == ["cpu/1", "cpu/2"]
    assert {(slot["exit_code"], slot["restarts"], slot["ending"]) for slot in slots} == {
        (0, 0, "done")
    }
    assert sum(slot["trials_ended"] for slot in slots) == 13
    records = records_of(storage_url)
    assert [(r.number, r.attempt) for r in records] == [(n, 1) for n in range(13)]
    assert {r.state for r in records} <= {"complete", "pruned"}


@pytest.mark.slow
def test_lines_of_progress_and_limits_of_each_process(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=9)))
    done = tlsearch.run_process("worker", "tiny", "--processes", "2", "--trials", "2")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"cpu/1", "cpu/2"}
    ended = [line for line in lines if " trials done" in line]
    assert len(ended) == 4
    assert all("  tiny  trial " in line and "/9 trials done" in line for line in ended)
    assert last.startswith("trials run: 4 in 2 slots (tlsearch best tiny)")


def test_processes_take_trials_of_several_studies(tlsearch, tiny, storage_url):
    for name in ("tiny", "other"):
        tlsearch.run("create", str(tiny(name, trials=3)))
    done = tlsearch.run_process("worker", "tiny", "other", "--processes", "2")
    assert done.returncode == 0, done
    assert "trials run: 6 in 2 slots (tlsearch best tiny, tlsearch best other)" in done.stdout
    ended = [line.split() for line in done.stdout.splitlines() if "/3 trials done" in line]
    assert sorted(words[1] for words in ended) == ["other"] * 3 + ["tiny"] * 3, done.stdout
    for name in ("tiny", "other"):
        assert {r.state for r in records_of(storage_url, name)} <= {"complete", "pruned"}


@pytest.mark.slow
def test_a_killed_worker_starts_again_and_the_study_completes(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=3, epochs=SOME, space="high_lr = 0.01")))
    launcher = tlsearch.start("worker", "tiny", "--processes", "2", "--json")
    victim, _ = both_train(storage_url, launcher)
    os.kill(victim, signal.SIGKILL)
    stdout, stderr = launcher.communicate(timeout=240)
    assert launcher.returncode == 0, stderr
    assert "the worker was killed by SIGKILL; starts again in 1 s" in stderr
    slots = json.loads(stdout)
    assert sorted(slot["restarts"] for slot in slots) == [0, 1]
    records = records_of(storage_url)
    assert [r.state for r in records] == ["complete"] * 3
    assert sorted(r.attempt for r in records) == [1, 1, 2]


def test_sigterm_leaves_no_worker_and_no_running_trial(tlsearch, tiny, tcp_server, tcp_database):
    """On a server with a password, which must not be seen anywhere."""
    url = tlsearch.storage_url = tcp_server.url(tcp_database)
    tlsearch.run("create", str(tiny(trials=2, epochs=LONG)))
    launcher = tlsearch.start("worker", "tiny", "--processes", "2")
    pids = both_train(url, launcher)
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (launcher.pid, *pids)]
    launcher.send_signal(signal.SIGTERM)
    stdout, stderr = launcher.communicate(timeout=120)
    assert launcher.returncode == 143
    assert gone(pids)
    assert [r.state for r in records_of(url)] == ["waiting"] * 2
    assert "stopping: running trials go back into the queue" in stderr
    assert "Traceback" not in stderr
    password = url.split(":")[2].split("@")[0]
    for text in (stdout, stderr, *commands):
        assert tcp_server.password not in text
        assert password not in text


def test_workers_stop_when_their_launcher_is_killed(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=2, epochs=LONG)))
    launcher = tlsearch.start("worker", "tiny", "--processes", "2")
    pids = both_train(storage_url, launcher)
    launcher.kill()
    launcher.communicate()
    wait_until(lambda: gone(pids), "the workers stop")
    assert [r.state for r in records_of(storage_url)] == ["waiting"] * 2


@pytest.mark.slow
def test_what_all_workers_refuse_is_said_by_each_and_not_tried_again(tlsearch, tiny, tmp_path):
    tlsearch.run("create", str(tiny()))
    nowhere = str(tmp_path / "nowhere.safetensors")
    done = tlsearch.run_process("worker", "tiny", "--processes", "2", "--weights", nowhere)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    for slot in ("cpu/1", "cpu/2"):
        assert any(line.startswith(f"{slot}  error: ") and nowhere in line for line in lines)
    assert tlsearch.json("status", "tiny")["counts"]["running"] == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--gpus", "all"], "--gpus all: PyTorch sees no CUDA device on this machine; use --proc"),
        (["--gpus", "1"], "--gpus 1: PyTorch sees no CUDA device"),
        (["--gpus", "a"], "'a' is not the number of a GPU"),
        (["--gpus", ""], "'' is not the number of a GPU"),
        (["--gpus", "0,,1"], "'' is not the number of a GPU"),
        (["--gpus", "0,1,0"], "GPU 0 is named more than once"),
        (["--gpus", "0", "--processes", "2"], "--gpus and --processes: give one of them"),
        (["--per-gpu", "2", "--processes", "2"], "--per-gpu and --processes: give one of them"),
        (["--gpus", "0", "--device", "cpu"], "--gpus and --device: give one of them"),
        (["--per-gpu", "2"], "give --gpus as well"),
        (["--processes", "2"], "study 'cars' does not exist"),
    ],
)
def test_bad_places(tlsearch, options, sentence):
    done = tlsearch.run("worker", "cars", *options, rc=2, CUDA_VISIBLE_DEVICES="")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert all(line.startswith("starting ...") for line in done.stdout.splitlines())


def test_json_progress_is_one_object_a_line(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=2)))
    done = tlsearch.run("worker", "tiny", "--json-progress")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    events = [each["event"] for each in objects]
    one = ["claimed", "epoch", "epoch", "epoch", "ended"]
    trained = [event for event in events if event not in ("preparing", "note")]
    assert trained == [*one, *one, "done"]
    assert done.stderr == ""
    epoch, ended, over = objects[events.index("epoch")], objects[-2], objects[-1]
    assert (epoch["study"], epoch["number"], epoch["epoch"], epoch["epochs"]) == ("tiny", 0, 1, 3)
    assert ended["trial"]["state"] == "complete"
    assert (ended["standing"]["ended"], ended["standing"]["budget_trials"]) == (2, 2)
    assert over["how"] == "spent"
    old = tlsearch.run("worker", "tiny", "--news")
    assert old.stderr == "note: --news is now called --json-progress\n"
    assert json.loads(old.stdout.splitlines()[-1])["how"] == "spent"
    done = tlsearch.run("worker", "cars", "--json-progress", rc=2)
    assert json.loads(done.stdout.splitlines()[-1])["how"] == "refused"


@pytest.mark.slow
def test_a_worker_whose_stdout_is_closed_stops(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=1, epochs=LONG)))
    worker = tlsearch.start("worker", "tiny", "--json-progress")
    wait_until(lambda: running(storage_url, epochs=1), "the worker reports epochs")
    worker.stdout.close()
    assert worker.wait(timeout=120) == 143
    assert [r.state for r in records_of(storage_url)] == ["waiting"]
    worker.stderr.close()


@pytest.mark.slow
def test_failures_that_repeat_are_not_tried_again(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny(trials=8, epochs=30, space="high_lr = 10.0\nbeta = 10.0")))
    done = tlsearch.run_process("worker", "tiny", "--processes", "1", "--json")
    assert done.returncode == 1
    (slot,) = json.loads(done.stdout)
    assert (slot["ending"], slot["restarts"], slot["trials_ended"]) == ("stopped", 0, 3)
    assert "cpu/1  error: 3 trials in a row failed for the same reason" in done.stderr


@pytest.mark.slow
def test_a_crash_loop_is_given_up(tlsearch, tiny, tmp_path, monkeypatch):
    """As with a broken driver, every worker dies while it imports torch; the launcher does not."""
    tlsearch.run("create", str(tiny()))
    (tmp_path / "torch.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    done = tlsearch.run_process("worker", "tiny", "--processes", "1", "--json")
    assert done.returncode == 1
    (slot,) = json.loads(done.stdout)
    assert slot["ending"] == "given up"
    assert (slot["restarts"], slot["exit_code"]) == (4, 128 + signal.SIGSEGV)
    assert done.stderr.count("the worker was killed by SIGSEGV") == 5
    assert "given up" in done.stderr.splitlines()[-1]
