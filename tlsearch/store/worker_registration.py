"""The database's list of worker processes."""

import os
import platform
import socket
import uuid

import sqlalchemy as sa

from tlsearch.store.statements import call

_ENTER = sa.text(
    "INSERT INTO tlsearch.worker_sessions"
    " (worker_id, name, host, pid, device, device_name, stalled_after_seconds)"
    " VALUES (:worker_id, :name, :host, :pid, :device, :device_name, :stalled_after_seconds)"
    " ON CONFLICT DO NOTHING"
)
_HEARTBEAT = sa.text(
    "UPDATE tlsearch.worker_sessions SET last_seen_at = clock_timestamp()"
    " WHERE worker_id = :worker_id"
)
_LEAVE = sa.text(
    "UPDATE tlsearch.worker_sessions SET last_seen_at = clock_timestamp(),"
    " left_at = clock_timestamp(), left_because = :because WHERE worker_id = :worker_id"
)


class WorkerRegistration:
    """One worker process in the database's list of workers.

    Attributes:
        worker_id: its key.
        name: host, process and device, as trials show it.
    """

    def __init__(
        self, engine: sa.Engine, device: str, device_name: str, stalled_after_seconds: float
    ) -> None:
        self.worker_id = str(uuid.uuid4())
        self._engine = engine
        self._row = {
            "worker_id": self.worker_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": device,
            "device_name": device_name or platform.processor() or platform.machine(),
            "stalled_after_seconds": stalled_after_seconds,
        }
        self.name = f"{self._row['host']}:{self._row['pid']}:{device}"

    def enter(self) -> None:
        """Put the worker on the list."""
        call(self._engine, _ENTER, self._row | {"name": self.name})

    def heartbeat(self) -> None:
        """Show that the worker lives while it holds no trial."""
        call(self._engine, _HEARTBEAT, {"worker_id": self.worker_id})

    def leave(self, because: str) -> None:
        """Note that the worker ended on its own, and why."""
        call(self._engine, _LEAVE, {"worker_id": self.worker_id, "because": because})
