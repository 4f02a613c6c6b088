"""For tests of faults: a server that can crash, workers that can be killed, and what they left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import sqlalchemy as sa

from tests.acceptance.conftest import wait_until
from tests.conftest import execute
from tlsearch.postgres import cluster, sockets, stale_files
from tlsearch.records import FineTuneResult, Hyperparameters

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server of a test's own, on a socket."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Server":
        folder.mkdir(mode=0o700)
        cluster.create_cluster(folder)
        return cls(folder)

    def url(self, database: str) -> str:
        where = f"host={quote(str(sockets.new_folder(self.folder)))}&port={cluster.PORT}"
        return f"postgresql://{cluster.USER}@/{database}?{where}"

    def create_database(self, name: str) -> str:
        execute(self.url("postgres"), f"CREATE DATABASE {name}")
        return self.url(name)

    def answers(self) -> bool:
        return sockets.live_folder(self.folder, "postgres") is not None

    def start(self) -> None:
        """Start it, as an operator would: again until the files of a crash are gone."""
        wait_until(self._starts, "the server starts")

    def stop(self, mode: str = "fast") -> None:
        done = cluster.run_as_server_user(self.folder, "pg_ctl", "stop", "-w", "-m", mode)
        assert done.returncode == 0, done.stdout

    def end(self) -> None:
        """End it in any state; leaves nothing in shared memory."""
        cluster.run_as_server_user(self.folder, "pg_ctl", "stop", "-w", "-m", "immediate")

    def kill(self) -> None:
        """Kill the postmaster and all of its processes at once, as a power cut does."""
        postmaster = self._postmaster()
        os.kill(postmaster, signal.SIGSTOP)  # so that it neither starts others nor sees them die
        pids = with_children(postmaster)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(_is_alive, pids)), "the server is gone")

    def _postmaster(self) -> int:
        return int((self.folder / stale_files.PID_FILE).read_text().split()[0])

    def _starts(self) -> bool:
        socket = sockets.new_folder(self.folder)
        stale_files.remove_stale_locks(self.folder, socket)
        log = str(self.folder / "server.log")
        done = cluster.run_as_server_user(
            self.folder, "pg_ctl", "start", "-w", "-l", log, "-o", f"-k {socket}"
        )
        return done.returncode == 0


def with_children(pid: int) -> list[int]:
    """The ids of a process and its children."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in shown.stdout.splitlines()]
    return [pid, *(child for child, parent in pairs if parent == pid)]


def _is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def start_worker(
    url: str,
    *args: str,
    environment: Mapping[str, str] | None = None,
    output: IO[str] | None = None,
) -> subprocess.Popen[str]:
    """Start `tlsearch worker` on the study `tiny`; it writes to a file, or to two pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "tlsearch", "worker", "tiny", *args],
        env=os.environ | {"TLSEARCH_STORAGE": url} | dict(environment or {}),
        text=True,
        stdout=output or subprocess.PIPE,
        stderr=subprocess.STDOUT if output else subprocess.PIPE,
    )


def ask(url: str, query: str, **values: Any) -> Sequence[Any]:
    """Return the rows of a query."""
    with _engine(url).begin() as connection:
        result = connection.execute(sa.text(query), values)
        return result.all() if result.returns_rows else []


@cache
def _engine(url: str) -> sa.Engine:
    """Without connections that are kept: servers of fault tests go away."""
    url = url.replace("postgresql:", "postgresql+psycopg2:")
    return sa.create_engine(url, poolclass=sa.NullPool)


def attempts_of(url: str) -> Sequence[Any]:
    """The attempts at the trials of the database's studies, in order."""
    return ask(url, "SELECT * FROM tlsearch.attempts ORDER BY trial_id, attempt")


def curves_of(url: str) -> dict[int, list[tuple[int, float]]]:
    """The curve of each trial, as (epoch, accuracy), by number."""
    rows = ask(
        url,
        "SELECT number, step, intermediate_value AS value FROM trials"
        " JOIN trial_intermediate_values USING (trial_id) ORDER BY number, step",
    )
    curves: dict[int, list[tuple[int, float]]] = {}
    for row in rows:
        curves.setdefault(row.number, []).append((row.step, row.value))
    return curves


def files_in(folder: Path) -> list[str]:
    """The tokens of the checkpoints and models in a folder of artifacts."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


class Retraining:
    """Trains hyperparameters of a study again, undisturbed, in this process."""

    def __init__(self, url: str, name: str = "tiny") -> None:
        import torch

        from tlsearch.backbones import load_backbone
        from tlsearch.data import load_catalog, load_training_data
        from tlsearch.finetune import FineTuneData
        from tlsearch.store.connect import open_storage
        from tlsearch.store.studies import find_study

        spec = find_study(open_storage(url), name).spec
        self._recipe, self._device = spec.recipe, torch.device("cpu")
        images = load_training_data(
            load_catalog(spec.data), spec.recipe.image_size, spec.recipe.eval_crop
        )
        self._data = FineTuneData.on_device(images, self._device)
        self._backbone = load_backbone(
            spec.backbone.model, spec.backbone.weights, spec.recipe.image_size
        )

    def result(self, hyperparameters: Hyperparameters) -> FineTuneResult:
        from tlsearch.finetune import fine_tune

        return fine_tune(self._backbone, self._data, self._recipe, hyperparameters, self._device)

    def curve(self, hyperparameters: Hyperparameters | None) -> list[tuple[int, float]]:
        """The curve as `curves_of` shows it; trained once for all tests."""
        assert hyperparameters is not None, "a trial that ended has hyperparameters"
        key = (self._backbone.fingerprint(), self._recipe.model_dump_json(), hyperparameters)
        if key not in _curves:
            found = self.result(hyperparameters)
            _curves[key] = [(report.epoch, report.val_accuracy) for report in found.curve]
        return _curves[key]


_curves: dict[Any, list[tuple[int, float]]] = {}


def reported(url: str) -> int:
    """How many epochs the database knows of."""
    return int(ask(url, "SELECT count(*) FROM trial_intermediate_values")[0][0])


@contextmanager
def stopped(*processes: subprocess.Popen[str]) -> Iterator[None]:
    """Kill processes when the block ends, with or without an error."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()
