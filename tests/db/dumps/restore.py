"""Puts the dump of an earlier version into an empty database."""

import subprocess
from pathlib import Path

from tlsearch.postgres.cluster import binary
from tlsearch.store.connect import libpq_environment, resolve_url


def restore(url: str, version: str = "0.1.0") -> None:
    """Restore the studies `done` and `half`, which `make.py` describes."""
    dump = Path(__file__).parent / f"{version}.sql"
    command = [str(binary("psql")), "-q", "-X", "-v", "ON_ERROR_STOP=1", "-f", str(dump)]
    environment = libpq_environment(resolve_url(url))
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
