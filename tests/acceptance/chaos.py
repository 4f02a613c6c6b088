"""A storm of faults over one study: what was injected, and what was lost.

    python -m tests.acceptance.chaos [--trials 200] [--kills 100] [--database-kills 20]
        [--terminations 12] [--workers 3] [--epochs 60] [--seed 0] [--write FOLDER]

Real workers (`tlsearch worker`) train a tiny network; random ones of them get kill -9 or SIGTERM at
random moments, and so does PostgreSQL with all of its processes. Each worker is replaced. Prints
what was lost and, with --write, leaves it in FOLDER as faults.md and faults.json.
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

from tests.acceptance.chaos_report import Aftermath, write
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
MOST_BEHIND = 10  # trials that may end before a fault that was due by then
HANG_SECONDS = 600.0  # without a trial that ends

_ENDED = "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL')"
_HOLDS = (
    "SELECT token, last_epoch FROM tlsearch.worker_sessions LEFT JOIN tlsearch.attempts"
    " ON attempts.worker_id = worker_sessions.worker_id AND ended_at IS NULL WHERE pid = :pid"
)


@dataclass(frozen=True)
class Options:
    """How many of what."""

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
    def lives(self) -> bool:
        return self.process.poll() is None


class Storm:
    """Runs a study to its end while faults are injected.

    Attributes:
        injected: faults by their name.
        exit_codes: of all workers.
        killed: process ids of the workers that were killed.
        tracebacks: what workers wrote that died of an error.
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
        self.url = self._server.create_database("storm")
        self.artifacts = folder / "artifacts"
        self.injected: Counter[str] = Counter()
        self.exit_codes: Counter[int] = Counter()
        self.killed: set[int] = set()
        self.tracebacks: list[str] = []

    def run(self) -> None:
        """Create the study, inject all faults while it runs, and let it come to its end."""
        self._create()
        faults = self._schedule()
        due = [0.7 * self.options.trials * n / len(faults) for n in range(len(faults))]
        best, since = -1, time.monotonic()
        while (ended := self._ended()) < self.options.trials or self._workers:
            if ended > best:
                best, since = ended, time.monotonic()
            assert time.monotonic() - since < HANG_SECONDS, f"nothing ends after {ended} trials"
            self._look_after(ended)
            if faults and ended >= due[-len(faults)]:
                self._late = ended > due[-len(faults)] + MOST_BEHIND
                self._inject(faults.pop())
                _say(f"{ended} trials ended, {len(faults)} faults to come")
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
            wanted = self._random.choices(list(MOMENTS), list(MOMENTS.values()))[0]
            self._kill(*self._victim(wanted))

    def _kill(self, worker: Worker, moment: str) -> None:
        worker.process.kill()
        self.killed.add(worker.process.pid)
        self.injected[f"kill -9 of a worker, {moment}"] += 1

    def _kill_database(self) -> None:
        """Kill the server and start it again; one time in four a worker dies meanwhile too."""
        self._server.kill()
        time.sleep(self._random.uniform(0, 4))  # the outage
        living = [worker for worker in self._workers if worker.lives]
        if living and self._random.random() < 0.25:
            self._kill(self._random.choice(living), "while the database was away")
        self._server.start()
        self.injected["kill -9 of PostgreSQL"] += 1

    def _victim(self, wanted: str) -> tuple[Worker, str]:
        """Wait for a worker of which the moment is right; take any when none comes."""
        deadline = time.monotonic() + (1 if self._late else 15)
        if wanted in (TRAINING, ANY) and not self._late:
            time.sleep(self._random.uniform(0, 1))  # where in an epoch is left to chance
        while True:
            self._look_after(self._ended())
            moments = [(each, self._moment(each)) for each in self._workers if each.lives]
            right = [pair for pair in moments if wanted in (pair[1], ANY)]
            if time.monotonic() > deadline:
                right = moments
            if right:
                return self._random.choice(right)
            assert time.monotonic() < deadline + 60, "there is no worker to be killed"
            time.sleep(0.005)

    def _moment(self, worker: Worker) -> str:
        """Say what a worker is at, by what the database knows."""
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

    def _look_after(self, ended: int) -> None:
        """Collect the workers that are gone, and replace them while there is work."""
        for worker in [each for each in self._workers if not each.lives]:
            self._workers.remove(worker)
            self.exit_codes[worker.process.returncode] += 1
            words = worker.log.read_text()
            if "Traceback" in words:
                self.tracebacks.append(words[-3000:])
            worker.log.unlink()
        while ended < self.options.trials and len(self._workers) < self.options.workers:
            self._workers.append(self._start())

    def _start(self) -> Worker:
        self._n_started += 1
        log = self._folder / f"worker-{self._n_started}.log"
        places = {"TLSEARCH_ARTIFACTS": str(self.artifacts)}
        with log.open("w") as file:
            to_file = {"stdout": file, "stderr": subprocess.STDOUT}
            return Worker(start_worker(self.url, environment=places, **to_file), log)


def storm(options: Options) -> Aftermath:
    """Let it rage, and return what is left."""
    with server_folder() as folder:
        raging = Storm(options, folder)
        began = time.monotonic()
        try:
            raging.run()
            seconds = time.monotonic() - began
            return Aftermath.of(raging, asdict(options), seconds)
        finally:
            raging.stop()


def _say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in asdict(Options()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    given = vars(parser.parse_args(arguments))
    folder = given.pop("write")
    left = storm(Options(**given))
    print(left.as_markdown())
    if folder is not None:
        write(left, folder)
    sys.exit(bool(left.losses()))


if __name__ == "__main__":
    main()
