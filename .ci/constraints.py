"""Print the versions in this environment of all that tlsearch needs, directly or not, as pip reads.

    .venv/bin/python .ci/constraints.py > constraints.txt

What torch needs of CUDA comes with torch, which names the versions itself.
"""

import tomllib
from collections import deque
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
OF_TORCH = ("nvidia-", "cuda-", "triton")
HEAD = """\
# The versions that tlsearch was tested with, for Python 3.11 on Linux x86-64; `make` installs them.
# Made by .ci/constraints.py after an upgrade has passed `make test`.
"""


def main() -> None:
    found = versions(declared())
    lines = [f"{name}=={found[name]}" for name in sorted(found)]
    print(HEAD + "\n".join(lines))


def declared() -> list[Requirement]:
    """What pyproject.toml names, all extras included."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for text in sum(extras, project["dependencies"])]


def versions(requirements: list[Requirement]) -> dict[str, str]:
    """Version by name of these requirements and of all that they require in turn."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = deque((r, extra) for r in requirements for extra in ["", *r.extras])
    while queue:
        requirement, extra = queue.popleft()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen or name.startswith(OF_TORCH):
            continue
        seen.add((name, extra))
        package = distribution(name)
        found[name] = package.version
        for needed in map(Requirement, package.requires or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                queue.extend((needed, its) for its in ["", *needed.extras])
    return found


if __name__ == "__main__":
    main()
