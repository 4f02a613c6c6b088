"""Every command line of the deployment files, run for real without a container.

Hosts, folders and ports are replaced; `--gpus all` becomes `--processes 1`, as in the CPU override.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import deployment
from tests.acceptance.conftest import storage_at, wait_until
from tests.conftest import TcpServer
from tests.deployment import Line
from tlsearch.postgres import cluster
from tlsearch.records import TrialRecord
from tlsearch.store.studies import find_study
from tlsearch.store.trials import trial_records
from tlsearch.studies.create import create_study

LONG = 400  # epochs: a trial that lasts until it is stopped
ENDS_SECONDS = 30  # stop_grace_period and its like are 60
TOKEN = "0123456789abcdef"
SETTINGS = deployment.read_env(deployment.ENV_EXAMPLE)
SETTINGS |= {"POSTGRES_PASSWORD": "x", "DASHBOARD_TOKEN": TOKEN}


@dataclass
class Place:
    """Stands in for what a container, a node or a machine would be."""

    server: TcpServer
    user: str
    password: str
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.server.port}/{self.user}"

    def env(self, given: Mapping[str, str]) -> dict[str, str]:
        """The variables of a file, with the hosts and folders of this place."""
        ours = f"{self.user}@127.0.0.1:{self.server.port}/{self.user}"
        found = dict(given)
        for theirs in ("postgres", "db.example.org"):
            url = found["TLSEARCH_STORAGE"].replace(f"tlsearch@{theirs}:5432/tlsearch", ours)
            found["TLSEARCH_STORAGE"] = url
        assert ours in found["TLSEARCH_STORAGE"]
        found["PGPASSWORD"] = self.password
        for name in found.keys() & {"TLSEARCH_ARTIFACTS", "HOME", "XDG_CACHE_HOME"}:
            found[name] = str(self.folder / name.lower())
        return found

    def start(self, line: Line, study: str, *before: str) -> subprocess.Popen[str]:
        """Start a command line that a file has for a study of its own, for this one."""
        kind, *args = line.args
        if kind == "create":
            args[0] = str(self.folder / f"{study}.toml")
        if kind == "worker":
            args[0] = study
        if "--gpus" in args:
            args[args.index("--gpus") : args.index("--gpus") + 2] = ["--processes", "1"]
        if kind == "dashboard":
            args[args.index("--host") + 1] = "127.0.0.1"
            args[args.index("--port") + 1] = str(free_port())
        env = os.environ | self.env(line.env)
        return self.popen([*before, sys.executable, "-m", "tlsearch", kind, *args], env)

    def popen(self, command: list[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            env=env,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        return process

    def ends_well(self, line: Line, study: str) -> str:
        process = self.start(line, study)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, (line.where, output)
        return output

    def records(self, study: str) -> list[TrialRecord]:
        storage = storage_at(self.url)
        return trial_records(storage, find_study(storage, study).study_id)

    def wait_for_epochs(self, study: str) -> None:
        def at_work() -> bool:
            return any(r.state == "running" and r.epochs > 1 for r in self.records(study))

        wait_until(at_work, "the worker reports epochs")

    def hands_back(self, process: subprocess.Popen[str], pid: int, study: str) -> None:
        """SIGTERM to the process in time ends the worker and returns its trial."""
        self.wait_for_epochs(study)
        os.kill(pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=ENDS_SECONDS)
        assert process.returncode == 143, output
        assert [record.state for record in self.records(study)] == ["waiting"]


@pytest.fixture
def place(tcp_server: TcpServer, tmp_path: Path) -> Iterator[Place]:
    user = f"deployed_{uuid.uuid4().hex}"
    password = uuid.uuid4().hex
    tcp_server.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
    tcp_server.execute(f"CREATE DATABASE {user} OWNER {user}")
    made = Place(tcp_server, user, password, tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()
    tcp_server.execute(f"DROP DATABASE {user} WITH (FORCE)", f"DROP ROLE {user}")


@pytest.fixture
def spec(place: Place, tiny: Callable[..., Path]) -> Callable[..., str]:
    """Write a spec where the command lines look for it, and return the study's name."""

    def write(**options: object) -> str:
        shutil.copy(tiny("photos", **options), place.folder / "photos.toml")
        return "photos"

    return write


@pytest.fixture
def study(place: Place, spec: Callable[..., str]) -> Callable[..., str]:
    """Create a study and return its name."""

    def create(**options: object) -> str:
        name = spec(**options)
        create_study(place.folder / f"{name}.toml", place.url)
        return name

    return create


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
def test_compose_runs_a_study_to_its_end(place, spec):
    name = spec(trials=2)
    lines = deployment.compose_lines(SETTINGS, cpu=True)
    assert "created" in place.ends_well(lines["create"], name)
    place.ends_well(lines["workers"], name)
    assert {record.state for record in place.records(name)} == {"complete"}

    dashboard = place.start(lines["dashboard"], name)
    port = dashboard.args[dashboard.args.index("--port") + 1]

    def answer(**headers: str) -> str | None:
        assert dashboard.poll() is None, dashboard.stdout.read()
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/studies", headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=30) as got:
                text: str = got.read().decode()
                return text
        except urllib.error.HTTPError as error:
            return str(error.code)
        except OSError:
            return None

    assert wait_until(answer, "the dashboard answers") == "401"
    assert f'"{name}"' in (answer(Authorization=f"Bearer {TOKEN}") or "")
    dashboard.terminate()
    dashboard.communicate(timeout=ENDS_SECONDS)


def test_compose_waits_until_the_database_answers(place):
    (command, *args) = deployment.compose_services(SETTINGS)["postgres"]["healthcheck"]["test"][1:]
    program = str(cluster.binary(command))

    def healthy(port: int) -> int:
        env = os.environ | {"PGPORT": str(port)}
        return subprocess.run([program, *args], env=env, check=False).returncode

    assert healthy(place.server.port) == 0
    assert healthy(free_port()) != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "lines",
    [deployment.compose_lines(SETTINGS, cpu=True), deployment.kubernetes_lines()],
    ids=["compose", "kubernetes"],
)
def test_what_is_done_stays_done(place, spec, lines):
    """The next `up` after a study's end, and a pod that starts when others have finished."""
    name = spec(trials=1)
    worker = lines.get("workers") or lines["worker"]
    assert "created" in place.ends_well(lines["create"], name)
    place.ends_well(worker, name)
    assert "nothing changed" in place.ends_well(lines["create"], name)
    place.ends_well(worker, name)
    assert [record.state for record in place.records(name)] == ["complete"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        deployment.compose_lines(SETTINGS)["workers"],
        deployment.kubernetes_lines()["worker"],
        deployment.unit_line("photos"),
    ],
    ids=["compose", "kubernetes", "systemd"],
)
def test_workers_hand_their_trial_back(place, study, line):
    name = study(trials=1, epochs=LONG)
    process = place.start(line, name)
    place.hands_back(process, process.pid, name)


@pytest.mark.slow
def test_a_worker_is_a_good_process_1(place, study):
    """As the image's entrypoint, without the init that Compose puts before it."""
    probe = subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this user may not make a process namespace")
    assert dict(deployment.dockerfile())["ENTRYPOINT"] == '["tlsearch"]'
    name = study(trials=1, epochs=LONG)
    line = deployment.compose_lines(SETTINGS, cpu=True)["workers"]
    outside = place.start(line, name, "unshare", "--pid", "--fork", "--kill-child")
    place.wait_for_epochs(name)
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text()
    place.hands_back(outside, int(children), name)


@pytest.fixture
def sbatch(place):
    """Run the Slurm script as Slurm would, on a node without GPUs."""
    settings = place.env(deployment.read_env(deployment.WORKER_ENV_EXAMPLE))
    path = place.folder / "worker.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    # A copy elsewhere, since Slurm runs one from its spool folder.
    script = shutil.copy(deployment.SBATCH, place.folder / "slurm_script")
    env = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_SUBMIT_DIR": str(place.folder)}
    env |= {"TLSEARCH_VENV": sys.prefix, "TLSEARCH_SETTINGS": str(path)}
    return lambda *args: place.popen(["bash", str(script), *args], os.environ | env)


@pytest.mark.slow
def test_the_slurm_script_runs_a_study_to_its_end(place, study, sbatch):
    name = study(trials=1)
    script = sbatch(name, "--threads", "1")
    output, _ = script.communicate(timeout=240)
    assert script.returncode == 0, output
    assert output.startswith("task 3 on ")
    assert [record.state for record in place.records(name)] == ["complete"]


def test_sigterm_to_the_slurm_script_reaches_the_worker(place, study, sbatch):
    name = study(trials=1, epochs=LONG)
    script = sbatch(name)
    place.wait_for_epochs(name)
    became = Path(f"/proc/{script.pid}/cmdline").read_text()
    assert "tlsearch" in became
    assert "slurm_script" not in became  # exec: no shell is left that could keep the signal
    place.hands_back(script, script.pid, name)


def test_the_slurm_script_says_what_is_missing(place, sbatch):
    (place.folder / "worker.env").unlink()
    script = sbatch("photos")
    output, _ = script.communicate(timeout=60)
    assert script.returncode == 1
    assert "worker.env: No such file" in output
