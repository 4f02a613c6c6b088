"""`tlsearch dashboard`: optuna-dashboard on the studies' own storage, with notes and pictures."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tlsearch.dashboard.auth import LOCAL_NAMES, DashboardAuth, Program, check_token, is_local
from tlsearch.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

TOKEN_ENVIRONMENT = "TLSEARCH_DASHBOARD_TOKEN"
REFRESH_SECONDS = 60.0
THREADS = 8  # requests answered at once; a browser sends six at once
LARGEST_UPLOAD = 128 << 20  # bytes, as optuna-dashboard takes them

_log = logging.getLogger(__name__)


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
    hosts = LOCAL_NAMES | {host.lower()} if is_local(host) else None
    dashboard = _dashboard(database, artifacts, read_only)
    server = _listen(DashboardAuth(dashboard, token, read_only, hosts), host, port)
    ended = threading.Event()
    updates = (ended, REFRESH_SECONDS)
    threading.Thread(target=NoteUpdater(database).update_until, args=updates, daemon=True).start()
    try:
        return _run(server, lambda: _announce(host, port, token is not None, read_only))
    finally:
        ended.set()
        _log.info("stopped")


def _dashboard(database: "RDBStorage", artifacts: str | None, read_only: bool) -> Program:
    """Return optuna-dashboard as a WSGI program."""
    from optuna_dashboard import wsgi

    from tlsearch.dashboard.artifact_stores import CombinedArtifactStore, open_stores
    from tlsearch.dashboard.study_storage import DashboardStorage

    files = CombinedArtifactStore(open_stores(database, artifacts, read_only))
    program: Program = wsgi(DashboardStorage(database), artifact_store=files)
    return program


def _token(variable: str | None) -> str | None:
    name = variable or TOKEN_ENVIRONMENT
    token = os.environ.get(name)
    if not token:
        if variable is None:
            return None
        raise InputError(f"the environment variable {name} is not set; put the token into it")
    return check_token(token, name)


def _listen(program: DashboardAuth, host: str, port: int) -> Any:
    from waitress import create_server

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a short wait is usual
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


def _run(server: Any, announce: Callable[[], None]) -> int:
    """Answer requests until a signal comes; `announce` is called once signals are handled."""
    code = 0

    def stop(*_: object) -> None:
        nonlocal code
        code = 143
        raise SystemExit(code)

    signal.signal(signal.SIGTERM, stop)
    announce()
    server.run()  # returns after KeyboardInterrupt and SystemExit
    server.close()
    return code


def _announce(host: str, port: int, has_token: bool, read_only: bool) -> None:
    how = ", read-only" if read_only else ""
    access = ", with the token" if has_token else ""
    address = _address(host, port)
    _log.info("listening on %s", address)
    print(f"optuna-dashboard on http://{address}{how}{access} (Ctrl-C stops it)", flush=True)
    if is_local(host):
        return
    if has_token:
        _log.warning("the token is sent over the network unencrypted: put TLS in front")
    else:
        may = "see every study" if read_only else "see, change and delete every study"
        _log.warning(
            "everybody who reaches %s can %s: set %s, or see docs/dashboard.md",
            address,
            may,
            TOKEN_ENVIRONMENT,
        )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
