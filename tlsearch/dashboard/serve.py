"""`tlsearch dashboard`: optuna-dashboard on the studies' own storage, with notes and pictures."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, BinaryIO

from tlsearch.dashboard.auth import LOCAL_NAMES, DashboardAuth, check_token, is_local
from tlsearch.errors import InputError, StorageError

TOKEN_ENVIRONMENT = "TLSEARCH_DASHBOARD_TOKEN"
REFRESH_SECONDS = 60.0
THREADS = 8  # requests answered at once; a browser asks six at once
LARGEST_UPLOAD = 128 << 20  # bytes, as optuna-dashboard takes them


def serve(
    storage: str | None,
    host: str,
    port: int,
    artifacts: str | None = None,
    read_only: bool = False,
    token_environment: str | None = None,
) -> int:
    """Serve the dashboard until Ctrl-C or SIGTERM.

    Returns:
        The exit code: 0 after Ctrl-C, 143 after SIGTERM.

    Raises:
        InputError: storage, folder, address or token cannot be used.
    """
    from tlsearch.dashboard.notes import NoteUpdater
    from tlsearch.store.connect import open_storage

    token = _token(token_environment)
    database = open_storage(storage)
    shown = _dashboard(database, _places(database, artifacts, read_only))
    hosts = LOCAL_NAMES | {host.lower()} if is_local(host) else None
    server = _listen(DashboardAuth(shown, token, read_only, hosts), host, port)
    _announce(host, port, token is not None, read_only)
    ended = threading.Event()
    supervisor = NoteUpdater(database, _complain)
    threading.Thread(
        target=supervisor.refresh_until, args=(ended, REFRESH_SECONDS), daemon=True
    ).start()
    try:
        return _run(server)
    finally:
        ended.set()


class DashboardFiles:
    """The files of trials in several places; new ones are written to the first."""

    def __init__(self, places: Sequence[Any]) -> None:
        self._places = places

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file, or answer the request with 404."""
        from bottle import HTTPError
        from optuna.artifacts.exceptions import ArtifactNotFound

        for place in self._places:
            try:
                found: BinaryIO = place.open_reader(artifact_id)
                return found
            except ArtifactNotFound:
                continue
            except StorageError as error:
                raise HTTPError(503, str(error)) from None
        raise HTTPError(404, "this file is not where the dashboard looks for files of trials")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file."""
        self._places[0].write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Remove a file, if it is there."""
        for place in self._places:
            place.remove(artifact_id)


def _dashboard(database: Any, places: Sequence[Any]) -> Any:
    from optuna_dashboard import wsgi

    from tlsearch.dashboard.storage import DashboardStorage

    return wsgi(DashboardStorage(database), artifact_store=DashboardFiles(places))


def _places(database: Any, artifacts: str | None, read_only: bool) -> list[Any]:
    """Open where files of trials lie: as said here, or where the studies' specs say."""
    from tlsearch.artifacts import ENVIRONMENT, default_folder, open_artifacts
    from tlsearch.dashboard.storage import folders_of_specs

    if artifacts or os.environ.get(ENVIRONMENT):
        return [open_artifacts(artifacts, writable=not read_only)]
    own = [open_artifacts()] if not read_only or default_folder().exists() else []
    elsewhere = []
    for folder in folders_of_specs(database):
        try:
            elsewhere.append(open_artifacts(folder, writable=False))
        except StorageError as error:
            _complain(f"files of some studies cannot be shown: {error}")
    return own + elsewhere


def _token(named: str | None) -> str | None:
    name = named or TOKEN_ENVIRONMENT
    token = os.environ.get(name)
    if not token:
        if named is None:
            return None
        raise InputError(f"the environment variable {name} is not set; put the token into it")
    return check_token(token, name)


def _listen(program: DashboardAuth, host: str, port: int) -> Any:
    from waitress import create_server

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a short wait is no news
    try:
        return create_server(
            program,
            host=host,
            port=port,
            threads=THREADS,
            ident=None,
            max_request_body_size=LARGEST_UPLOAD,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no such address"
        hint = "choose another --port or --host"
        raise InputError(f"cannot listen on {_address(host, port)} ({why}); {hint}") from None


def _run(server: Any) -> int:
    """Answer requests until a signal comes."""
    code = 0

    def leave(*_: object) -> None:
        nonlocal code
        code = 143
        raise SystemExit(code)

    signal.signal(signal.SIGTERM, leave)
    server.run()  # returns after KeyboardInterrupt and SystemExit
    server.close()
    return code


def _announce(host: str, port: int, has_token: bool, read_only: bool) -> None:
    how = ", read-only" if read_only else ""
    who = ", for who has the token" if has_token else ""
    print(
        f"optuna-dashboard on http://{_address(host, port)}{how}{who} (Ctrl-C stops it)", flush=True
    )
    if is_local(host):
        return
    if has_token:
        _complain("the token goes over the network unencrypted: put TLS in front")
    else:
        may = "see every study" if read_only else "see, change and delete every study"
        _complain(
            f"whoever reaches {_address(host, port)} can {may}: set {TOKEN_ENVIRONMENT}, or see "
            "docs/dashboard.md"
        )


def _complain(sentence: str) -> None:
    sys.stderr.write(f"warning: {sentence}\n")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
