"""What the package says of itself, and what its wheel carries."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import tlsearch

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_licence_is_named_and_there() -> None:
    assert PROJECT["license"] == "MIT"
    assert PROJECT["license-files"][0] == "LICENSE"
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License")
    assert "tlsearch contributors" in text


def test_the_wheel_carries_types_licences_sql_and_the_quickstart(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", build, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for name in ("py.typed", "quickstart.toml", "cli/main.py", "data/shipped/fashion_mnist_30.npz"):
        assert f"tlsearch/{name}" in names, name
    assert {f"tlsearch/{path.relative_to(ROOT)}" for path in sql_files()} <= names
    info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    assert info == f"tlsearch-{tlsearch.__version__}.dist-info"
    assert f"{info}/licenses/LICENSE" in names
    assert f"{info}/licenses/tlsearch/data/shipped/LICENSE-fashion-mnist.txt" in names
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]


def sql_files() -> list[Path]:
    found = sorted((ROOT / "db").rglob("*.sql"))
    assert found
    return found


def test_the_hooks_run_what_make_check_runs() -> None:
    """The same programs, from the environment that make builds; nothing is fetched."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    makefile = (ROOT / "Makefile").read_text()
    check = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    commands = [line.split()[0] for line in check.splitlines() if line.startswith("\t")]
    programs = {command.removeprefix("$(BIN)/") for command in commands}
    assert programs == {"ruff", "mypy", "lint-imports"}
    for program in programs:
        assert f"entry: .venv/bin/{program}" in hooks
    assert "repo: local" in hooks
    assert hooks.count("repo:") == 1


def test_the_command_tells_the_version_of_the_package() -> None:
    assert "version" in PROJECT["dynamic"]
    command = [sys.executable, "-m", "tlsearch", "--version"]
    assert subprocess.check_output(command, text=True) == f"tlsearch {tlsearch.__version__}\n"
