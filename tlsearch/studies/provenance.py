"""With which software a study is created."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tlsearch import __version__
from tlsearch.store.stored_study import Provenance

_VERSIONED = ("torch", "timm", "optuna", "sqlalchemy", "numpy", "pillow")


def provenance() -> Provenance:
    """Return the versions of what takes part, and the commit of tlsearch."""
    return Provenance(_versions(), _git_commit())


def _versions() -> dict[str, str]:
    found = {"tlsearch": __version__}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    """Return the commit tlsearch runs from, with `-dirty` where files differ; None outside git."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        # An installed copy may be inside another repository, whose commit says nothing of ours.
        tracked = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "--error-unmatch", __file__],
            capture_output=True,
            check=False,
            timeout=10,
        )
        if tracked.returncode:
            return None
        return subprocess.run(
            command, capture_output=True, check=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
