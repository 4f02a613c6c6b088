"""The launcher with tiny real scripts as workers."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field

import pytest

from tlsearch.errors import InputError
from tlsearch.launcher import (
    Ending,
    Launcher,
    Patience,
    Slot,
    WorkerCommand,
    choose_gpus,
    count_gpus,
    gpu_slots,
    process_slots,
    threads_each,
)
from tlsearch.launcher.restarts import Restarts

FAST = Patience(first_delay_seconds=0.01, longest_delay_seconds=0.02)


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
            ("a", None, "'a' is no GPU's number"),
            ("", None, "'' is no GPU's number"),
            ("0,,1", None, "'' is no GPU's number"),
            ("-1", None, "'-1' is no GPU's number"),
            ("1.5", None, "'1.5' is no GPU's number"),
            ("²", None, "is no GPU's number"),
            ("all,0", None, "'all' is no GPU's number"),
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
        assert argv[1:4] == ["-m", "tlsearch", "worker"]
        assert argv[-3:] == ["--", "a", "-b"]
        assert {"--device=cuda:1", "--threads=3", "--news"} <= set(argv)
        assert "secret" not in " ".join(argv)
        environment = command.environment()
        assert environment["TLSEARCH_STORAGE"] == "postgresql://u:secret@h/d"
        assert environment["OMP_NUM_THREADS"] == "3"

    def test_a_worker_that_starts_again_has_the_rest_of_the_limits(self):
        command = WorkerCommand(["a"], threads=1, max_trials=3, timeout_seconds=0.0)
        assert {"--trials=3", "--timeout=0.0"} <= set(command(self.SLOT, 0))
        assert "--trials=1" in command(self.SLOT, 2)
        assert command(self.SLOT, 3) is None


class TestRestarts:
    def test_delays_double_to_a_limit(self):
        restarts = Restarts(Patience(most_crashes=10))
        assert [restarts.crashed(0) for _ in range(10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60, None]

    def test_a_minute_of_work_resets_the_delay_but_not_the_count(self):
        restarts = Restarts(Patience())
        assert [restarts.crashed(s) for s in (0, 0, 60, 0, 60)] == [1, 2, 1, 2, None]

    def test_an_ended_trial_resets_both(self):
        restarts = Restarts(Patience())
        assert [restarts.crashed(0) for _ in range(4)] == [1, 2, 4, 8]
        restarts.ended_trial()
        assert [restarts.crashed(0) for _ in range(5)] == [1, 2, 4, 8, None]


@dataclass
class Notes:
    """A listener that takes notes."""

    events: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    troubles: list = field(default_factory=list)
    on_news: object = None

    def news(self, slot, news):
        self.events.append((slot.name, news["event"]))
        if self.on_news:
            self.on_news(news)

    def said(self, slot, line):
        self.lines.append((slot.name, line))

    def state(self, slot, what):
        pass

    def trouble(self, slot, sentence):
        self.troubles.append((slot.name if slot else None, sentence))


PREAMBLE = """
import json, os, signal, sys, time
def tell(event, **more):
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

        listener = listener or Notes()
        slots = process_slots(n, "cpu")
        return Launcher(slots, command, os.environ, listener, FAST, **more), listener

    return make


def test_slots_that_end_well(start):
    launcher, notes = start("tell('ended'); tell('ended'); tell('done', how='spent')", n=3)
    summaries = launcher.run()
    assert [(s.slot.name, s.trials_ended, s.restarts, s.exit_code) for s in summaries] == [
        (f"cpu/{n}", 2, 0, 0) for n in (1, 2, 3)
    ]
    assert {s.ending for s in summaries} == {Ending.DONE}
    assert launcher.exit_code(summaries) == 0
    assert notes.troubles == []


def test_a_crash_loop_gives_up_with_the_last_words(start):
    launcher, notes = start("runs(); print('cannot do it', file=sys.stderr); sys.exit(7)")
    (summary,) = launcher.run()
    assert (summary.ending, summary.restarts, summary.exit_code) == (Ending.GIVEN_UP, 4, 7)
    assert launcher.exit_code([summary]) == 1
    assert notes.lines == [("cpu/1", "cannot do it")] * 5
    sentences = [sentence for _, sentence in notes.troubles]
    assert len(sentences) == 5
    assert all("ended with exit code 7 (cannot do it); " in sentence for sentence in sentences)
    assert ["starts again in" in s for s in sentences] == [True] * 4 + [False]
    assert "given up" in sentences[-1]


def test_crashes_between_ended_trials_are_forgiven(start):
    launcher, notes = start("if runs() > 8: sys.exit(0)\ntell('ended'); os.kill(os.getpid(), 9)")
    (summary,) = launcher.run()
    assert (summary.ending, summary.restarts, summary.trials_ended) == (Ending.DONE, 8, 8)
    assert all("was killed by SIGKILL" in sentence for _, sentence in notes.troubles)


def test_a_worker_that_somebody_else_terminates_starts_again(start):
    launcher, _ = start("sys.exit(143 if runs() == 1 else 0)")
    (summary,) = launcher.run()
    assert (summary.ending, summary.restarts, summary.exit_code) == (Ending.DONE, 1, 0)


@pytest.mark.parametrize(
    ("script", "ending", "restarts", "code"),
    [
        ("sys.exit(2)", Ending.REFUSED, 0, 2),
        ("tell('done', how='stopped'); sys.exit(1)", Ending.STOPPED, 0, 1),
        ("tell('done', how='database'); sys.exit(2)", Ending.GIVEN_UP, 4, 1),
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
    tell("ended")
    """
    launcher, notes = start(script, n=2)
    summaries = launcher.run()
    assert [s.ending for s in summaries] == [Ending.REFUSED, Ending.DONE]
    assert summaries[1].trials_ended == 1
    assert notes.lines == [("cpu/1", "error: no such images")]
    assert launcher.exit_code(summaries) == 2


def test_what_cannot_be_started_is_given_up(tmp_path):
    notes = Notes()
    launcher = Launcher(
        process_slots(1, "cpu"), lambda *_: [str(tmp_path / "nothing")], {}, notes, FAST
    )
    (summary,) = launcher.run()
    assert (summary.ending, summary.exit_code) == (Ending.GIVEN_UP, None)
    assert "cannot be started (No such file or directory)" in notes.troubles[-1][1]


def test_lines_that_are_no_news_and_secrets(start):
    script = """
    print("downloading with pw=s3cret", flush=True)
    print("[1, 2]", flush=True)
    sys.stderr.write("half a line, s3cret")
    """
    launcher, notes = start(script, secrets=["s3cret"])
    launcher.run()
    assert notes.events == []
    assert [line for _, line in notes.lines] == [
        "downloading with pw=***",
        "[1, 2]",
        "half a line, ***",
    ]


def test_much_output_is_neither_lost_nor_blocks(start):
    script = "for n in range(20000): tell('epoch', n=n)\nsys.stderr.write('x' * 300000 + '\\n')"
    launcher, notes = start(script)
    launcher.run()
    assert len(notes.events) == 20000
    assert sum(len(line) for _, line in notes.lines) == 300000


OBSTINATE = """
count = 0
def stop(*_):
    global count
    count += 1
    tell("stop", count=count)
    if count >= PATIENCE: sys.exit(143)
signal.signal(signal.SIGTERM, stop)
tell("ready")
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

    def next_signal(news):
        if news["event"] in ("ready", "stop") and left:
            os.kill(os.getpid(), left.pop(0))

    notes = Notes(on_news=next_signal)
    before = signal.getsignal(signal.SIGTERM)
    launcher, _ = start(OBSTINATE.replace("PATIENCE", str(patience)), listener=notes)
    (summary,) = launcher.run()
    assert (summary.ending, summary.exit_code) == (Ending.INTERRUPTED, exit_code)
    assert launcher.exit_code([summary]) == code
    assert summary.restarts == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_ends_the_wait_for_a_restart(tmp_path):
    notes = Notes()
    notes.trouble = lambda slot, sentence: slot and os.kill(os.getpid(), signal.SIGTERM)
    launcher = Launcher(
        process_slots(1, "cpu"),
        lambda *_: [sys.executable, "-c", "import sys; sys.exit(1)"],
        os.environ,
        notes,
        Patience(first_delay_seconds=3600.0),
    )
    (summary,) = launcher.run()
    assert summary.ending is Ending.INTERRUPTED


def test_a_launcher_that_fails_leaves_no_worker_behind(start, tmp_path):
    """Here its listener raises, as a display whose reader is gone does."""

    def fail(news):
        raise BrokenPipeError

    script = """
    tell("ready")
    sys.stdin.read()  # ends with the launcher
    open(folder + "/noticed", "w").close()
    """
    launcher, _ = start(script, listener=Notes(on_news=fail))
    with pytest.raises(BrokenPipeError):
        launcher.run()
    assert (tmp_path / "noticed").exists()


def test_workers_have_a_session_of_their_own(start):
    said = []
    launcher, _ = start(
        "tell('ids', pid=os.getpid(), session=os.getsid(0), group=os.getpgrp())",
        listener=Notes(on_news=said.append),
    )
    launcher.run()
    (news,) = said
    assert news["pid"] == news["session"] == news["group"]
    assert not os.path.exists(f"/proc/{news['pid']}"), "a zombie is left"
