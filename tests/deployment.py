"""Reads the deployment files: what each runs, and in which environment."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
COMPOSE_CPU = ROOT / "docker-compose.cpu.yml"
DOCKERFILE = ROOT / "workers" / "Dockerfile"
SBATCH = ROOT / "workers" / "slurm.sbatch"
KUBERNETES = ROOT / "workers" / "kubernetes.yaml"
UNIT = ROOT / "workers" / "tlsearch-worker@.service"
ENV_EXAMPLE = ROOT / ".env.example"
WORKER_ENV_EXAMPLE = ROOT / "workers" / "worker.env.example"

RESET = "!reset"
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


@dataclass(frozen=True)
class Line:
    """A command line of `tlsearch` that a file runs.

    Attributes:
        where: file and service.
        args: what follows `tlsearch`.
        env: the variables that the file sets.
    """

    where: str
    args: list[str]
    env: dict[str, str] = field(default_factory=dict)


def load_compose(path: Path) -> dict[str, Any]:
    """Read a Compose file; a value with the tag `!reset` becomes RESET."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor(RESET, lambda *_: RESET)
    found: dict[str, Any] = yaml.load(path.read_text(), Loader)
    return found


def merged(base: Any, override: Any) -> Any:
    """Merge as Compose does, as far as these files go: mappings deeply, the rest replaced."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    keys = [key for key in base | override if override.get(key) != RESET]
    return {
        key: merged(base[key], override[key])
        if key in base and key in override
        else (base | override)[key]
        for key in keys
    }


def interpolated(value: Any, env: Mapping[str, str]) -> Any:
    """Replace variables by their values, as Compose does."""
    if isinstance(value, dict):
        return {key: interpolated(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, env) for item in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        name, sign, word = match.groups()
        given = env.get(name, "")
        assert given or sign != "?", f"{name}: {word}"
        return given or (word if sign == "-" else "")

    return VARIABLE.sub(replaced, value)


def compose_services(env: Mapping[str, str], cpu: bool = False) -> dict[str, Any]:
    """Return the services, with variables replaced by their values."""
    found = load_compose(COMPOSE)
    if cpu:
        found = merged(found, load_compose(COMPOSE_CPU))
    services: dict[str, Any] = interpolated(found["services"], env)
    return services


def compose_lines(env: Mapping[str, str], cpu: bool = False) -> dict[str, Line]:
    """Return what the services of our image run."""
    services = compose_services(env, cpu)
    return {
        name: Line(f"compose {name}", service["command"], service["environment"])
        for name, service in services.items()
        if service["image"].startswith("tlsearch")
    }


def manifests() -> list[dict[str, Any]]:
    """Return the Kubernetes resources."""
    return list(yaml.safe_load_all(KUBERNETES.read_text()))


def job() -> dict[str, Any]:
    """Return the Kubernetes job."""
    (found,) = [resource for resource in manifests() if resource["kind"] == "Job"]
    return found


def kubernetes_lines() -> dict[str, Line]:
    """Return what the job's containers run; the Secret has the variables of worker.env.example."""
    pod = job()["spec"]["template"]["spec"]
    secret = read_env(WORKER_ENV_EXAMPLE)
    return {
        container["name"]: Line(
            f"kubernetes {container['name']}",
            container["args"],
            secret | {entry["name"]: entry["value"] for entry in container["env"]},
        )
        for container in (*pod["initContainers"], *pod["containers"])
    }


def unit() -> list[tuple[str, str]]:
    """Return the systemd unit's settings, in order."""
    lines = [line for line in UNIT.read_text().splitlines() if re.match(r"\w+=", line)]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def unit_line(study: str) -> Line:
    """Return what the systemd unit runs for a study."""
    settings = dict(unit())
    program, *args = shlex.split(settings["ExecStart"].replace("%I", study))
    assert program == "/opt/tlsearch/bin/tlsearch"
    env = dict(pair.split("=", 1) for pair in shlex.split(settings["Environment"]))
    return Line("systemd", args, read_env(WORKER_ENV_EXAMPLE) | env)


def read_env(path: Path) -> dict[str, str]:
    """Read lines NAME=value."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def dockerfile() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions and what follows them."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]
