"""The deployment files against schemas, linters and the real command line; nothing is started."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import typer
from typer.core import TyperGroup

from tests import deployment
from tests.deployment import ROOT
from tlsearch.cli.app import app

BIN = Path(sys.executable).parent
SETTINGS = deployment.read_env(deployment.ENV_EXAMPLE)
SETTINGS |= {"POSTGRES_PASSWORD": "x", "DASHBOARD_TOKEN": "y"}
COMPOSE_FILES = [deployment.COMPOSE, deployment.COMPOSE_CPU]
DEPLOYED = [
    *COMPOSE_FILES,
    deployment.DOCKERFILE,
    deployment.SBATCH,
    deployment.KUBERNETES,
    deployment.UNIT,
    deployment.ENV_EXAMPLE,
    deployment.WORKER_ENV_EXAMPLE,
]


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    given = [str(word) for word in command]
    return subprocess.run(given, check=False, capture_output=True, text=True, cwd=cwd)


def passes(*command: object, cwd: Path | None = None) -> None:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not on this machine")
    return found


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_files_fit_the_schema(path):
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    loaded = deployment.load_compose(path)
    for service in loaded["services"].values():
        for key in [key for key, value in service.items() if value == deployment.RESET]:
            del service[key]
    jsonschema.validate(loaded, json.loads(schema.read_text()))


@pytest.mark.parametrize("cpu", [False, True])
def test_docker_compose_accepts_the_files(cpu, tmp_path):
    docker = needs("docker")
    if run(docker, "compose", "version").returncode != 0:
        pytest.skip("docker has no compose plugin on this machine")
    env = tmp_path / "env"
    env.write_text("".join(f"{name}={value}\n" for name, value in SETTINGS.items()))
    chosen = [arg for path in COMPOSE_FILES[: 1 + cpu] for arg in ("-f", path)]
    passes(docker, "compose", "--env-file", env, *chosen, "config", "--quiet", cwd=ROOT)


@pytest.mark.parametrize("cpu", [False, True])
def test_only_the_dashboard_is_published_and_only_on_localhost(cpu):
    services = deployment.compose_services(SETTINGS, cpu)
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"dashboard": ["127.0.0.1:8080:8080"]}
    assert not [name for name, service in services.items() if "network_mode" in service]
    assert services["postgres"]["networks"] == ["database"]
    assert deployment.load_compose(deployment.COMPOSE)["networks"]["database"]["internal"] is True


def test_compose_starts_things_in_order_and_ends_them_gently():
    services = deployment.compose_services(SETTINGS)
    postgres, create, workers = (services[name] for name in ("postgres", "create", "workers"))
    assert re.fullmatch(r"postgres:\d+", postgres["image"])
    assert "pg_isready" in postgres["healthcheck"]["test"]
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql"]
    assert create["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert workers["depends_on"]["create"]["condition"] == "service_completed_successfully"
    assert create["restart"] == "no"
    assert workers["restart"].startswith("on-failure")  # 0 is "the study is done"
    assert workers["stop_grace_period"] == "60s"
    for service in (create, workers):
        assert "./studies:/studies:ro" in service["volumes"]
        assert "./data:/data:ro" in service["volumes"]
        assert "artifacts:/artifacts" in service["volumes"]


def test_the_cpu_override_takes_the_gpus_away_and_nothing_else():
    with_gpus, without = (deployment.compose_services(SETTINGS, cpu) for cpu in (False, True))
    devices = with_gpus["workers"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]
    assert "deploy" not in without["workers"]
    assert without["workers"]["command"][-2:] == ["--processes", "1"]
    for name in with_gpus:
        differing = {
            key for key in with_gpus[name] if with_gpus[name][key] != without[name].get(key)
        }
        assert differing <= {"deploy", "command", "image", "build"}, name


def test_variables_of_the_compose_files_are_those_of_the_example():
    used = [
        match
        for path in COMPOSE_FILES
        for line in path.read_text().splitlines()
        if not line.lstrip().startswith("#")
        for match in deployment.VARIABLE.findall(line)
    ]
    assert {name for name, _, _ in used} == set(deployment.read_env(deployment.ENV_EXAMPLE))
    assert all(sign for _, sign, _ in used), "each is required (:?) or has a default (:-)"


def test_no_password_is_committed():
    settings = deployment.read_env(deployment.ENV_EXAMPLE)
    assert settings["POSTGRES_PASSWORD"] == settings["DASHBOARD_TOKEN"] == ""
    assert deployment.read_env(deployment.WORKER_ENV_EXAMPLE)["PGPASSWORD"] == ""
    for path in DEPLOYED:
        text = path.read_text()
        for value in re.findall(r"(?:PASSWORD|TOKEN)\b[\"']?\s*[:=][ \t]*(\S+)", text):
            wanted = ("${POSTGRES_PASSWORD:?", "${DASHBOARD_TOKEN:?")
            assert value.startswith(wanted), (path.name, value)
        assert not re.search(r"//[^/\s:@]+:[^/\s@]+@", text), path.name
    assert "Secret" not in {resource["kind"] for resource in deployment.manifests()}


def test_the_settings_stay_out_of_git_and_of_the_image():
    git = needs("git")
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    passes(git, "-C", ROOT, "check-ignore", "--quiet", ".env")
    kept = in_docker_context()
    assert kept[0] == "*", "everything is left out that is not named"
    assert not any("env" in line for line in kept)


def in_docker_context() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_dockerfile_passes_its_linter():
    passes(BIN / "hadolint", deployment.DOCKERFILE)


def test_the_image_runs_as_nobody_in_particular_and_gets_signals():
    steps = deployment.dockerfile()
    last = dict(steps)
    assert re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-base-ubuntu\d+\.\d+", last["FROM"])
    assert [op for op, _ in steps].count("FROM") == 1
    assert json.loads(last["ENTRYPOINT"]) == ["tlsearch"]
    assert json.loads(last["CMD"]) == ["--help"]
    uid, gid = map(int, last["USER"].split(":"))
    assert uid == gid >= 10000
    assert [op for op, _ in steps].index("USER") > max(
        n for n, (op, _) in enumerate(steps) if op in ("RUN", "COPY")
    )
    pod = deployment.job()["spec"]["template"]["spec"]["securityContext"]
    assert (pod["runAsUser"], pod["runAsGroup"], pod["fsGroup"]) == (uid, gid, gid)
    assert f"--uid {uid} " in steps[1][1]


def test_the_image_holds_what_the_package_is_made_of():
    copied = [
        source
        for op, rest in deployment.dockerfile()
        if op == "COPY"
        for source in rest.split()[:-1]
    ]
    assert all((ROOT / source).exists() for source in copied)
    assert {f"!{source}" for source in copied} <= set(in_docker_context())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    targets = project["tool"]["hatch"]["build"]["targets"]
    needed = [project["project"]["readme"], *project["project"]["license-files"]]
    needed += [*targets["wheel"]["packages"], *targets["sdist"]["force-include"]]
    for path in needed:
        assert any(Path(path).is_relative_to(source) for source in copied), path


def test_the_image_installs_what_the_project_wants(tmp_path):
    """The line that lists the dependencies, run for real."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_torch = [line for line in project["dependencies"] if line.startswith("torch")]
    runs = [rest for op, rest in deployment.dockerfile() if op == "RUN"]
    together = " ".join(f'"{line}"' for line in of_torch)  # one index's builds fit each other
    assert runs[1] == f'pip install --index-url "$TORCH_INDEX" {together}'
    listing, _, install = runs[2].partition(" && ")
    assert install.strip() == "pip install -r requirements.txt"
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    passes("sh", "-c", listing.replace("python", sys.executable, 1), cwd=tmp_path)
    listed = (tmp_path / "requirements.txt").read_text().splitlines()
    assert listed == project["dependencies"] + project["optional-dependencies"]["s3"]


def test_the_slurm_script_passes_its_linter():
    passes(BIN / "shellcheck", deployment.SBATCH)


def test_the_slurm_script_asks_for_what_it_needs():
    text = deployment.SBATCH.read_text()
    options = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2]
        for line in text.splitlines()
        if line.startswith("#SBATCH")
    )
    assert re.fullmatch(r"0-\d+%\d+", options["array"])
    assert re.fullmatch(r"B:TERM@\d+", options["signal"])
    assert "requeue" in options
    assert options["open-mode"] == "append"
    assert text.splitlines()[-1] == 'exec "$venv/bin/tlsearch" worker "$@" "${slots[@]}"'
    assert re.findall(r"slots=\((.*)\)", text) == ["--processes 1", "--gpus all"]
    first = next(n for n, line in enumerate(text.splitlines()) if line and line[0] != "#")
    assert "#SBATCH" not in "".join(text.splitlines()[first:])  # Slurm stops reading there


@pytest.mark.parametrize("version", ["1.33", kubernetes_validate.latest_version()])
def test_the_manifests_fit_the_schema(version):
    for resource in deployment.manifests():
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_job_survives_disruption_and_runs_with_few_rights():
    spec = deployment.job()["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    rules = spec["podFailurePolicy"]["rules"]
    assert {"type": "DisruptionTarget", "status": "True"} in rules[0]["onPodConditions"]
    assert rules[1]["onExitCodes"]["values"] == [143]
    assert {rule["action"] for rule in rules} == {"Ignore"}
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # a podFailurePolicy demands it
    assert pod["terminationGracePeriodSeconds"] >= 30
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    names = {container["name"] for container in pod["initContainers"] + pod["containers"]}
    assert rules[1]["onExitCodes"]["containerName"] in names
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["initContainers"] + pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["envFrom"] == [{"secretRef": {"name": "tlsearch"}}]
    (worker,) = pod["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_systemd_accepts_the_unit(tmp_path):
    analyze = needs("systemd-analyze")
    copy = tmp_path / "tlsearch-worker@photos.service"
    here = needs("true")
    copy.write_text(deployment.UNIT.read_text().replace("/opt/tlsearch/bin/tlsearch", here))
    done = run(analyze, "verify", "--man=no", copy)
    assert done.returncode == 0, done.stderr
    # What the machine's own units have to say is not ours.
    assert "tlsearch-worker" not in done.stderr, done.stderr


def test_the_unit_ends_gently_and_runs_with_few_rights():
    settings = dict(deployment.unit())
    assert settings["KillSignal"] == "SIGTERM"
    assert settings["KillMode"] == "mixed"  # the supervisor stops its processes itself
    assert int(settings["TimeoutStopSec"]) >= 30
    assert settings["SuccessExitStatus"] == "143"
    assert settings["Restart"] == "on-failure"  # 0 is "the study is done"
    assert settings["User"] not in ("", "root")
    assert settings["EnvironmentFile"] == "/etc/tlsearch/worker.env"
    assert settings["NoNewPrivileges"] == "yes"
    assert settings["ProtectSystem"] == "strict"
    # These would hide the GPUs.
    assert not {"PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock"} & set(settings)


LINES = [
    *deployment.compose_lines(SETTINGS).values(),
    *deployment.compose_lines(SETTINGS, cpu=True).values(),
    *deployment.kubernetes_lines().values(),
    deployment.unit_line("photos"),
    deployment.Line("slurm", ["worker", "photos", "--gpus", "all"]),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.where}: {' '.join(line.args)}")
def test_command_lines_are_what_the_program_takes(line):
    name, *args = line.args
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    with group.make_context("tlsearch", [name]) as context:
        command = group.get_command(context, name)
        assert command is not None, f"there is no tlsearch {name}"
        parsed = command.make_context(name, args, parent=context).params
    if name == "worker":
        assert parsed["studies"] in (["quickstart"], ["photos"])
        assert (parsed["gpus"] == "all") != (parsed["processes"] == 1)
    if name == "dashboard":
        assert (parsed["host"], parsed["port"]) == ("0.0.0.0", 8080)


def test_the_database_is_named_alike():
    """Compose's workers go to the database that its postgres makes."""
    services = deployment.compose_services(SETTINGS)
    made = services["postgres"]["environment"]
    url = services["workers"]["environment"]["TLSEARCH_STORAGE"]
    assert url == f"postgresql://{made['POSTGRES_USER']}@postgres:5432/{made['POSTGRES_DB']}"
    assert services["workers"]["environment"]["PGPASSWORD"] == made["POSTGRES_PASSWORD"]
    assert (ROOT / "studies" / SETTINGS["SPEC"]).exists()
    spec = tomllib.loads((ROOT / "studies" / SETTINGS["SPEC"]).read_text())
    assert spec["name"] == SETTINGS["STUDY"]
