"""A chaos test: faults injected into one study, and a count of what was lost.

    python -m tests.acceptance.chaos [--trials 200] [--kills 100] [--database-kills 20]
        [--terminations 12] [--workers 3] [--epochs 60] [--seed 0] [--write FOLDER]

Real workers (`tlsearch worker`) train a tiny network; random ones of them get kill -9 or SIGTERM at
random moments, and PostgreSQL is killed with all of its processes. Each worker is replaced. Prints
what was lost; with --write, also writes it to FOLDER as faults.md and faults.json.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.acceptance.chaos_report import ChaosReport, write
from tests.acceptance.conftest import TINY
from tests.acceptance.crashes import Server, ask, start_worker
from tests.conftest import server_folder

SPEC = {
    "name": "tiny",
    "measures": "off",
    "sampler": "tpe",
    "model": "test_efficientnet",
    "space": "high_lr = [0.001, 0.05]",
    "max_attempts": 3,
}
STALLED = ("stalled_after_seconds = 3", "stalled_after_seconds = 6")  # the machine is busy
TRAINING, ENDING, CLAIMED = "in training", "at the end of a trial", "after a claim"
STARTING, BETWEEN, ANY = "as it starts", "between trials", "at any time"
MOMENTS = {TRAINING: 12, ENDING: 3, CLAIMED: 2, ANY: 3}  # of kills, and how often
MOST_BEHIND = 10  # trials that may end after a fault was due
HANG_SECONDS = 600.0  # if no trial ends for so long, the test fails

_ENDED = "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL')"
_HOLDS = (
    "SELECT token, last_epoch FROM tlsearch.worker_sessions LEFT JOIN tlsearch.attempts"
    " ON attempts.worker_id = worker_sessions.worker_id AND ended_at IS NULL WHERE pid = :pid"
)


@dataclass(frozen=True)
class Options:
    """How many trials, faults and workers."""

    trials: int = 200
    kills: int = 100
    database_kills: int = 20
    terminations: int = 12
    workers: int = 3
    epochs: int = 60  # trials must not outrun the faults
    seed: int = 0


@dataclass(frozen=True)
class Worker:
    """A worker's process, and where it writes."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None


class ChaosTest:
    """Runs a study to its end while faults are injected.

    Attributes:
        injected: faults by their name.
        exit_codes: of all workers.
        killed: process ids of the workers that were killed.
        tracebacks: output of workers that ended with an unexpected error.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self._folder = folder
        self._random = random.Random(options.seed)
        self._server = Server.create(folder / "postgres")
        self._server.start()
        self._workers: list[Worker] = []
        self._n_started = 0
        self._late = False
        self.url = self._server.create_database("chaos")
        self.artifacts = folder / "artifacts"
        self.injected: Counter[str] = Counter()
        self.exit_codes: Counter[int] = Counter()
        self.killed: set[int] = set()
        self.tracebacks: list[str] = []

    def run(self) -> None:
        """Create the study, inject all faults while it runs, and wait for its end."""
        self._create()
        faults = self._schedule()
        due = [0.7 * self.options.trials * n / len(faults) for n in range(len(faults))]
        best, since = -1, time.monotonic()
        while (ended := self._ended()) < self.options.trials or self._workers:
            if ended > best:
                best, since = ended, time.monotonic()
            assert time.monotonic() - since < HANG_SECONDS, f"no trial ends after the first {ended}"
            self._replace_ended(ended)
            if faults and ended >= due[-len(faults)]:
                self._late = ended > due[-len(faults)] + MOST_BEHIND
                self._inject(faults.pop())
                _log(f"{ended} trials ended, {len(faults)} faults to come")
            time.sleep(0.02)
        assert not faults, f"{len(faults)} faults were left when the study ended"

    def stop(self) -> None:
        """End what is still running."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.wait()
        self._server.end()

    def _create(self) -> None:
        import safetensors.torch

        from tlsearch.backbones import build
        from tlsearch.studies.create import create_study

        weights = self._folder / "tiny.safetensors"
        safetensors.torch.save_file(build("test_efficientnet", 1000, seed=3).state_dict(), weights)
        spec = self._folder / "tiny.toml"
        sizes = {"epochs": self.options.epochs, "trials": self.options.trials}
        spec.write_text(TINY.format(**SPEC, **sizes, weights=weights).replace(*STALLED))
        create_study(spec, self.url)

    def _schedule(self) -> list[str]:
        options = self.options
        faults = ["kill"] * options.kills + ["terminate"] * options.terminations
        faults += ["database"] * options.database_kills
        self._random.shuffle(faults)
        return faults

    def _inject(self, fault: str) -> None:
        if fault == "database":
            self._kill_database()
        elif fault == "terminate":
            worker, moment = self._victim(TRAINING)
            worker.process.send_signal(signal.SIGTERM)
            self.injected[f"SIGTERM of a worker, {moment}"] += 1
        else:
            moment = self._random.choices(list(MOMENTS), list(MOMENTS.values()))[0]
            self._kill(*self._victim(moment))

    def _kill(self, worker: Worker, moment: str) -> None:
        worker.process.kill()
        self.killed.add(worker.process.pid)
        self.injected[f"kill -9 of a worker, {moment}"] += 1

    def _kill_database(self) -> None:
        """Kill the server and start it again; one time in four kill a worker meanwhile too."""
        self._server.kill()
        time.sleep(self._random.uniform(0, 4))  # the outage
        alive = [worker for worker in self._workers if worker.is_alive]
        if alive and self._random.random() < 0.25:
            self._kill(self._random.choice(alive), "while the database was away")
        self._server.start()
        self.injected["kill -9 of PostgreSQL"] += 1

    def _victim(self, wanted: str) -> tuple[Worker, str]:
        """Wait for a worker at the wanted moment; take any worker after a time-out."""
        deadline = time.monotonic() + (1 if self._late else 15)
        if wanted in (TRAINING, ANY) and not self._late:
            time.sleep(self._random.uniform(0, 1))  # a random moment of an epoch
        while True:
            self._replace_ended(self._ended())
            moments = [(each, self._moment(each)) for each in self._workers if each.is_alive]
            right = [pair for pair in moments if wanted in (pair[1], ANY)]
            if time.monotonic() > deadline:
                right = moments
            if right:
                return self._random.choice(right)
            assert time.monotonic() < deadline + 60, "there is no worker to be killed"
            time.sleep(0.005)

    def _moment(self, worker: Worker) -> str:
        """Return what a worker is doing, according to the database."""
        rows = ask(self.url, _HOLDS, pid=worker.process.pid)
        if not rows:
            return STARTING
        if rows[0].token is None:
            return BETWEEN
        if rows[0].last_epoch is None:
            return CLAIMED
        return ENDING if rows[0].last_epoch >= self.options.epochs - 1 else TRAINING

    def _ended(self) -> int:
        return int(ask(self.url, _ENDED)[0][0])

    def _replace_ended(self, ended: int) -> None:
        """Count the workers that have ended, and replace them while there is work."""
        for worker in [each for each in self._workers if not each.is_alive]:
            self._workers.remove(worker)
            self.exit_codes[worker.process.returncode] += 1
            output = worker.log.read_text()
            if "Traceback" in output:
                self.tracebacks.append(output[-3000:])
            worker.log.unlink()
        while ended < self.options.trials and len(self._workers) < self.options.workers:
            self._workers.append(self._start())

    def _start(self) -> Worker:
        self._n_started += 1
        log = self._folder / f"worker-{self._n_started}.log"
        environment = {"TLSEARCH_ARTIFACTS": str(self.artifacts)}
        with log.open("w") as file:
            process = start_worker(self.url, environment=environment, output=file)
        return Worker(process, log)


def run_chaos_test(options: Options) -> ChaosReport:
    """Run a chaos test to its end and return what was lost."""
    with server_folder() as folder:
        chaos_test = ChaosTest(options, folder)
        began = time.monotonic()
        try:
            chaos_test.run()
            seconds = time.monotonic() - began
            return ChaosReport.of(chaos_test, asdict(options), seconds)
        finally:
            chaos_test.stop()


def _log(message: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {message}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in asdict(Options()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    given = vars(parser.parse_args(arguments))
    folder = given.pop("write")
    report = run_chaos_test(Options(**given))
    print(report.as_markdown())
    if folder is not None:
        write(report, folder)
    sys.exit(bool(report.losses()))


if __name__ == "__main__":
    main()
