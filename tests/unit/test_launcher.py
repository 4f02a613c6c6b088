"""The launcher with tiny real scripts as workers."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tlsearch.errors import InputError
from tlsearch.launcher import (
    Ending,
    Launcher,
    RestartPolicy,
    Slot,
    WorkerCommand,
    choose_gpus,
    count_gpus,
    gpu_slots,
    process_slots,
    threads_each,
)
from tlsearch.launcher.restarts import Restarts

FAST = RestartPolicy(first_delay_seconds=0.01, longest_delay_seconds=0.02)


class TestSlots:
    @pytest.mark.parametrize(
        ("wanted", "n_gpus", "ids"),
        [("all", 3, (0, 1, 2)), ("0,2", 3, (0, 2)), (" 2 , 0", 3, (2, 0)), ("0", 1, (0,))],
    )
    def test_chosen(self, wanted, n_gpus, ids):
        assert choose_gpus(wanted, n_gpus) == ids

    @pytest.mark.parametrize(
        ("wanted", "n_gpus", "sentence"),
        [
            ("all", 0, "use --processes N"),
            ("0", 0, "sees no CUDA device"),
            ("0,4", 2, "there is no GPU 4; this machine has 2 CUDA devices, 0 to 1"),
            ("0,0", 2, "named more than once"),
            ("a", None, "'a' is not the number of a GPU"),
            ("", None, "'' is not the number of a GPU"),
            ("0,,1", None, "'' is not the number of a GPU"),
            ("-1", None, "'-1' is not the number of a GPU"),
            ("1.5", None, "'1.5' is not the number of a GPU"),
            ("²", None, "is not the number of a GPU"),
            ("all,0", None, "'all' is not the number of a GPU"),
        ],
    )
    def test_refused(self, wanted, n_gpus, sentence):
        with pytest.raises(InputError, match=r"^--gpus") as refused:
            choose_gpus(wanted, n_gpus)
        assert sentence in str(refused.value)

    def test_names(self):
        assert [s.name for s in gpu_slots((0, 3), 2)] == [
            "cuda:0/1",
            "cuda:0/2",
            "cuda:3/1",
            "cuda:3/2",
        ]
        assert {s.device for s in process_slots(2, "cpu")} == {"cpu"}

    def test_threads_are_shared_out(self):
        cores = threads_each(1)
        assert 1 <= cores <= len(os.sched_getaffinity(0))
        assert threads_each(2) == max(1, cores // 2)
        assert threads_each(10 * cores) == 1

    def test_fewer_cores_than_the_machine_has(self):
        """Told by affinity here; by a container's quota where there is one."""
        code = (
            "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
            "from tlsearch.launcher import threads_each; print(threads_each(1))"
        )
        assert subprocess.check_output([sys.executable, "-c", code], text=True) == "1\n"

    def test_counting_gpus_loads_no_torch_here(self):
        code = (
            "import sys, tlsearch.launcher as l; n = l.count_gpus(); "
            "print(n, sorted({'torch', 'optuna', 'sqlalchemy'} & set(sys.modules)))"
        )
        told = subprocess.check_output([sys.executable, "-c", code], text=True)
        assert told.split(maxsplit=1)[1].strip() == "[]"

    def test_where_torch_is_broken_it_says_so(self, tmp_path, monkeypatch):
        (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so is missing')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(InputError, match=r"libcudart.so is missing.*--processes N"):
            count_gpus()


class TestCommand:
    SLOT = Slot("cuda:1/1", "cuda:1")

    def test_the_storage_is_in_the_environment_alone(self):
        command = WorkerCommand(["a", "-b"], threads=3, storage="postgresql://u:secret@h/d")
        argv = command(self.SLOT, 0)
        assert argv is not None
        assert argv[1:4] == ["-m", "tlsearch", "worker"]
        assert argv[-3:] == ["--", "a", "-b"]
        assert {"--device=cuda:1", "--threads=3", "--json-progress"} <= set(argv)
        assert "secret" not in " ".join(argv)
        environment = command.environment()
        assert environment["TLSEARCH_STORAGE"] == "postgresql://u:secret@h/d"
        assert environment["OMP_NUM_THREADS"] == "3"

    def test_a_worker_that_starts_again_has_the_rest_of_the_limits(self):
        command = WorkerCommand(["a"], threads=1, max_trials=3, timeout_seconds=0.0)
        assert {"--trials=3", "--timeout=0.0"} <= set(command(self.SLOT, 0) or [])
        assert "--trials=1" in (command(self.SLOT, 2) or [])
        assert command(self.SLOT, 3) is None


class TestRestarts:
    def test_delays_double_to_a_limit(self):
        restarts = Restarts(RestartPolicy(max_crashes=10))
        assert [restarts.crashed(0) for _ in range(10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60, None]

    def test_a_minute_of_work_resets_the_delay_but_not_the_count(self):
        restarts = Restarts(RestartPolicy())
        assert [restarts.crashed(s) for s in (0, 0, 60, 0, 60)] == [1, 2, 1, 2, None]

    def test_an_ended_trial_resets_both(self):
        restarts = Restarts(RestartPolicy())
        assert [restarts.crashed(0) for _ in range(4)] == [1, 2, 4, 8]
        restarts.ended_trial()
        assert [restarts.crashed(0) for _ in range(5)] == [1, 2, 4, 8, None]


@dataclass
class Recorder:
    """A listener that keeps all it is told."""

    events: list[tuple[str, str]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    problems: list[tuple[str | None, str]] = field(default_factory=list)
    on_progress: Callable[[dict[str, Any]], object] | None = None

    def progress(self, slot, event):
        self.events.append((slot.name, event["event"]))
        if self.on_progress:
            self.on_progress(event)

    def output(self, slot, line):
        self.lines.append((slot.name, line))

    def state(self, slot, text):
        pass

    def problem(self, slot, sentence):
        self.problems.append((slot.name if slot else None, sentence))


PREAMBLE = """
import json, os, signal, sys, time
def report(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)
folder, slot, ended = sys.argv[1:]
def runs():
    "How often this slot's worker has run, this time included."
    path = os.path.join(folder, slot.replace("/", "-"))
    with open(path, "a") as file: file.write("x")
    return os.path.getsize(path)
"""


@pytest.fixture
def start(tmp_path):
    """Make a launcher whose workers are a script."""

    def make(script, n=1, listener=None, **more):
        path = tmp_path / "worker.py"
        path.write_text(PREAMBLE + textwrap.dedent(script))

        def command(slot, ended):
            return [sys.executable, str(path), str(tmp_path), slot.name, str(ended)]

        listener = listener or Recorder()
        slots = process_slots(n, "cpu")
        return Launcher(slots, command, os.environ, listener, FAST, **more), listener

    return make


def test_slots_that_end_well(start):
    launcher, recorder = start("report('ended'); report('ended'); report('done', how='spent')", n=3)
    summaries = launcher.run()
    assert [(s.slot.name, s.trials_ended, s.restarts, s.exit_code) for s in summaries] == [
        (f"cpu/{n}", 2, 0, 0) for n in (1, 2, 3)
    ]
    assert {s.ending for s in summaries} == {Ending.DONE}
    assert launcher.exit_code(summaries) == 0
    assert recorder.problems == []


def test_a_crash_loop_gives_up_with_the_last_error_line(start):
    launcher, recorder = start("runs(); print('cannot do it', file=sys.stderr); sys.exit(7)")
    (summary,) = launcher.run()
    assert (summary.ending, summary.restarts, summary.exit_code) == (Ending.GIVEN_UP, 4, 7)
    assert launcher.exit_code([summary]) == 1
    assert recorder.lines == [("cpu/1", "cannot do it")] * 5
    sentences = [sentence for _, sentence in recorder.problems]
    assert len(sentences) == 5
    assert all("ended with exit code 7 (cannot do it); " in sentence for sentence in sentences)
    assert ["starts again in" in s for s in sentences] == [True] * 4 + [False]
    assert "given up" in sentences[-1]


def test_the_last_error_line_may_be_a_log_record(start):
    record = '{"level": "error", "message": "no GPU"}'
    launcher, recorder = start(f"print('{record}', file=sys.stderr); sys.exit(7)")
    launcher.run()
    assert "ended with exit code 7 (no GPU); starts again" in recorder.problems[0][1]


def test_crashes_between_ended_trials_are_forgiven(start):
    launcher, recorder = start(
        "if runs() > 8: sys.exit(0)\nreport('ended'); os.kill(os.getpid(), 9)"
    )
    (summary,) = launcher.run()
    assert (summary.ending, summary.restarts, summary.trials_ended) == (Ending.DONE, 8, 8)
    assert all("was killed by SIGKILL" in sentence for _, sentence in recorder.problems)


def test_a_worker_that_somebody_else_terminates_starts_again(start):
    launcher, _ = start("sys.exit(143 if runs() == 1 else 0)")
    (summary,) = launcher.run()
    assert (summary.ending, summary.restarts, summary.exit_code) == (Ending.DONE, 1, 0)


@pytest.mark.parametrize(
    ("script", "ending", "restarts", "code"),
    [
        ("sys.exit(2)", Ending.REFUSED, 0, 2),
        ("report('done', how='stopped'); sys.exit(1)", Ending.STOPPED, 0, 1),
        ("report('done', how='database'); sys.exit(2)", Ending.GIVEN_UP, 4, 1),
    ],
)
def test_which_ends_are_final(start, script, ending, restarts, code):
    launcher, _ = start(script)
    (summary,) = launcher.run()
    assert (summary.ending, summary.restarts) == (ending, restarts)
    assert launcher.exit_code([summary]) == code


def test_one_refused_slot_leaves_the_others_at_work(start):
    script = """
    if slot == "cpu/1":
        print("error: no such images", file=sys.stderr)
        sys.exit(2)
    report("ended")
    """
    launcher, recorder = start(script, n=2)
    summaries = launcher.run()
    assert [s.ending for s in summaries] == [Ending.REFUSED, Ending.DONE]
    assert summaries[1].trials_ended == 1
    assert recorder.lines == [("cpu/1", "error: no such images")]
    assert launcher.exit_code(summaries) == 2


def test_what_cannot_be_started_is_given_up(tmp_path):
    recorder = Recorder()
    launcher = Launcher(
        process_slots(1, "cpu"), lambda *_: [str(tmp_path / "nothing")], {}, recorder, FAST
    )
    (summary,) = launcher.run()
    assert (summary.ending, summary.exit_code) == (Ending.GIVEN_UP, None)
    assert "cannot be started (No such file or directory)" in recorder.problems[-1][1]


def test_lines_that_are_not_progress_and_secrets(start):
    script = """
    print("downloading with pw=s3cret", flush=True)
    print("[1, 2]", flush=True)
    sys.stderr.write("half a line, s3cret")
    """
    launcher, recorder = start(script, secrets=["s3cret"])
    launcher.run()
    assert recorder.events == []
    assert [line for _, line in recorder.lines] == [
        "downloading with pw=***",
        "[1, 2]",
        "half a line, ***",
    ]


def test_much_output_is_neither_lost_nor_blocks(start):
    script = "for n in range(20000): report('epoch', n=n)\nsys.stderr.write('x' * 300000 + '\\n')"
    launcher, recorder = start(script)
    launcher.run()
    assert len(recorder.events) == 20000
    assert sum(len(line) for _, line in recorder.lines) == 300000


OBSTINATE = """
count = 0
def stop(*_):
    global count
    count += 1
    report("stop", count=count)
    if count >= PATIENCE: sys.exit(143)
signal.signal(signal.SIGTERM, stop)
report("ready")
while True: time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("patience", "sent", "code", "exit_code"),
    [
        (1, [signal.SIGTERM], 143, 143),
        (1, [signal.SIGINT], 130, 143),
        (2, [signal.SIGINT, signal.SIGTERM], 130, 143),
        (9, [signal.SIGTERM] * 3, 143, 137),
    ],
)
def test_signals_are_passed_on_and_a_third_kills(start, patience, sent, code, exit_code):
    """The next signal is sent once the worker has got the one before."""
    left = list(sent)

    def next_signal(event):
        if event["event"] in ("ready", "stop") and left:
            os.kill(os.getpid(), left.pop(0))

    recorder = Recorder(on_progress=next_signal)
    before = signal.getsignal(signal.SIGTERM)
    launcher, _ = start(OBSTINATE.replace("PATIENCE", str(patience)), listener=recorder)
    (summary,) = launcher.run()
    assert (summary.ending, summary.exit_code) == (Ending.INTERRUPTED, exit_code)
    assert launcher.exit_code([summary]) == code
    assert summary.restarts == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_ends_the_wait_for_a_restart(tmp_path):
    class Terminating(Recorder):
        def problem(self, slot, sentence):
            if slot:
                os.kill(os.getpid(), signal.SIGTERM)

    launcher = Launcher(
        process_slots(1, "cpu"),
        lambda *_: [sys.executable, "-c", "import sys; sys.exit(1)"],
        os.environ,
        Terminating(),
        RestartPolicy(first_delay_seconds=3600.0),
    )
    (summary,) = launcher.run()
    assert summary.ending is Ending.INTERRUPTED


def test_a_launcher_that_fails_leaves_no_worker_behind(start, tmp_path):
    """Here its listener raises, as a display whose reader is gone does."""

    def fail(event):
        raise BrokenPipeError

    script = """
    report("ready")
    sys.stdin.read()  # ends with the launcher
    open(folder + "/noticed", "w").close()
    """
    launcher, _ = start(script, listener=Recorder(on_progress=fail))
    with pytest.raises(BrokenPipeError):
        launcher.run()
    assert (tmp_path / "noticed").exists()


def test_workers_have_a_session_of_their_own(start):
    events: list[dict[str, Any]] = []
    launcher, _ = start(
        "report('ids', pid=os.getpid(), session=os.getsid(0), group=os.getpgrp())",
        listener=Recorder(on_progress=events.append),
    )
    launcher.run()
    (event,) = events
    assert event["pid"] == event["session"] == event["group"]
    assert not os.path.exists(f"/proc/{event['pid']}"), "a zombie is left"
