"""Processes that train on request, one or many, for bench/threads.py."""

import contextlib
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from machine import ROOT

SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
BATCH_SIZE = 32
N_LOOPS, N_TRAININGS = 4, 3
LEAST_STEPS = 2  # of a measurement, however long they take
WARM_UP_SECONDS = 0.5  # between the start of the neighbours and the measurement


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these settings of threads and no others."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**inherited, "PYTHONPATH": path, **settings}


class TrainingProcess:
    """Trains a network in a fresh process, on request."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Return when it has loaded everything."""
        if self._read() != "ready\n":
            raise RuntimeError("a training could not start; its error is above")

    def start(self, seconds: float) -> None:
        """Let it train for this time."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def measure(self, seconds: float) -> tuple[int, float]:
        """Let it train for at least this time; return its steps and the seconds they took."""
        self.start(seconds)
        steps, took = json.loads(self._read())
        return steps, took

    def end(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


class Crowd:
    """Busy loops and trainings that run during a measurement and are stopped otherwise."""

    def __init__(self) -> None:
        self._loops: list[subprocess.Popen[str]] = []
        self._trainings: dict[str, list[TrainingProcess]] = {}

    def __enter__(self) -> "Crowd":
        loop = [sys.executable, "-c", "while True: pass"]
        self._loops = [subprocess.Popen(loop, text=True) for _ in range(N_LOOPS)]
        _signal(self._loops, signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        trainings = itertools.chain.from_iterable(self._trainings.values())
        for process in [*self._loops, *(training.process for training in trainings)]:
            process.kill()
            process.wait()

    def prepare(self, name: str, settings: Mapping[str, str]) -> None:
        """Have trainings with these settings ready under a name, stopped."""
        if name in self._trainings:
            return
        self._trainings[name] = [TrainingProcess(settings) for _ in range(N_TRAININGS)]
        for training in self._trainings[name]:
            training.wait_until_ready()
        for training in self._trainings[name]:
            training.start(math.inf)
            training.process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def loops(self) -> Iterator[None]:
        """Let the busy loops run meanwhile."""
        with _running(self._loops):
            yield

    @contextlib.contextmanager
    def trainings(self, name: str) -> Iterator[None]:
        """Let the trainings of this name run meanwhile."""
        with _running([training.process for training in self._trainings[name]]):
            yield


@contextlib.contextmanager
def _running(processes: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    _signal(processes, signal.SIGCONT)
    try:
        time.sleep(WARM_UP_SECONDS)
        yield
    finally:
        _signal(processes, signal.SIGSTOP)


def _signal(processes: Sequence[subprocess.Popen[str]], signum: int) -> None:
    for process in processes:
        process.send_signal(signum)


# Inside the process


def train_on_request() -> None:
    """Read seconds from stdin, line by line; train for them; print steps and seconds."""
    steps = training_steps()
    next(steps)
    print("ready", flush=True)
    for line in sys.stdin:
        start, done = time.perf_counter(), 0
        while done < LEAST_STEPS or time.perf_counter() - start < float(line):
            next(steps)
            done += 1
        print(json.dumps([done, time.perf_counter() - start]), flush=True)


def training_steps() -> Iterator[None]:
    """Train tf_efficientnet_lite0 at 64 px without end, and yield after each step."""
    import torch
    from throughput import DATA, MODEL, SEARCHED, WEIGHTS

    from tlsearch.backbones import load_backbone
    from tlsearch.data import load_catalog, load_training_data
    from tlsearch.finetune import FineTuneData
    from tlsearch.finetune.training import Training
    from tlsearch.spec import RecipeSpec

    cpu, recipe = torch.device("cpu"), RecipeSpec(image_size=64, eval_crop=1, batch_size=BATCH_SIZE)
    images = load_training_data(load_catalog(DATA), recipe.image_size, recipe.eval_crop)
    backbone = load_backbone(MODEL, WEIGHTS, recipe.image_size)
    data = FineTuneData.on_device(images, cpu)
    training = Training.begin(backbone, data, recipe, SEARCHED, cpu)
    training.model.train()
    for epoch in itertools.count(1):
        for pixels, labels in training.batches(epoch):
            training.run_step(pixels, labels, factor=0.1)
            yield


if __name__ == "__main__":
    train_on_request()
