"""Which worker may run which trial: the Python side of `db/trials.sql`.

Each method is one call of one function on the server, in one transaction, and may be repeated
after a lost answer.
"""

import json
import os
import platform
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from tlsearch.errors import StudyError, TrialLost
from tlsearch.store.stored_study import StoredStudy

Verdict = Literal["wait", "done", "paused", "stopped", "budget"]
GivenBack = Literal["preempted", "paused", "stopped", "budget", "out_of_memory", "error"]
Ending = Literal["complete", "pruned", "fail"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no trial to run, or why the one that runs should be let go.

    Attributes:
        verdict: `wait`: others may yet have to be taken over; `paused`; `done`, `stopped`,
            `budget`: the study is over, unless somebody raises its budget or resumes it.
        why: a clause for the user.
    """

    verdict: Verdict
    why: str

    @property
    def over(self) -> bool:
        """Whether workers should leave."""
        return self.verdict in ("done", "stopped", "budget")


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that this worker, and no other, may run.

    Attributes:
        trial_id: Optuna's key of the trial.
        token: what the server knows this claim by; names the attempt's checkpoint.
        attempt: from 1.
        earlier_tokens: of earlier attempts, the last one first.
    """

    trial_id: int
    token: str
    attempt: int
    earlier_tokens: tuple[str, ...]


@dataclass(frozen=True)
class Curve:
    """Epochs and their validation accuracies, yet to be recorded."""

    epochs: list[int] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


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
        _call(self._engine, _ENTER, self._row | {"name": self.name})

    def seen(self) -> None:
        """Show a sign of life while no trial is held."""
        _call(self._engine, _SEEN, {"worker_id": self.worker_id})

    def leave(self, because: str) -> None:
        """Note that the worker ended on its own, and why."""
        _call(self._engine, _LEAVE, {"worker_id": self.worker_id, "because": because})


class Claims:
    """Claims trials of one study for one worker, and ends or returns them.

    Args:
        engine: of the database.
        study: the study.
        worker_id: of the worker, which is on the list of workers.
    """

    def __init__(self, engine: sa.Engine, study: StoredStudy, worker_id: str) -> None:
        self._engine = engine
        self._study = study
        self._worker_id = worker_id

    def claim(self, token: str, keep: int = 0) -> Claim | Refusal:
        """Claim the next trial: a queued one, else a new one while the budget lasts.

        Args:
            token: a fresh UUID; the same one again returns the same trial.
            keep: trials of the budget to leave for what will be queued.

        Raises:
            StudyError: the study was deleted.
        """
        workers = self._study.spec.workers
        row = _call(
            self._engine,
            _CLAIM,
            {
                "study_id": self._study.study_id,
                "worker_id": self._worker_id,
                "token": token,
                "keep": keep,
                "stalled": workers.stalled_after_seconds,
                "max_attempts": workers.max_attempts,
            },
        )
        if row.verdict == "deleted":
            raise StudyError(f"study {self._study.name!r} was deleted")
        if row.verdict != "claimed":
            return Refusal(row.verdict, row.why)
        earlier = tuple(str(each) for each in row.earlier_tokens)
        return Claim(row.claimed_id, token, row.claimed_attempt, earlier)

    def refusal(self, keep: int = 0) -> Refusal | None:
        """Return why the study has no trial to run now, or None where it has one."""
        values = {"study_id": self._study.study_id, "keep": keep}
        row = _call(self._engine, _REFUSAL, values)
        return None if row.verdict is None else Refusal(row.verdict, row.why)

    def surplus_models(self, keep: int) -> list[str]:
        """Give up the trained models of all but the best trials.

        Returns:
            The tokens that name their files.
        """
        values = {"study_id": self._study.study_id, "keep": keep}
        with self._engine.begin() as connection:
            return [str(token) for token in connection.execute(_SURPLUS, values).scalars()]

    def report(
        self, claim: Claim, curve: Curve, checkpoint_epoch: int | None = None
    ) -> Refusal | None:
        """Record epochs and show a sign of life.

        Returns:
            Why the worker should let go of the trial, or None.

        Raises:
            TrialLost: the trial is no longer this worker's; nothing is recorded.
        """
        values = _of(claim, curve) | {"checkpoint_epoch": checkpoint_epoch}
        row = _call(self._engine, _REPORT, values)
        if row.verdict == "lost":
            raise _lost(claim)
        return None if row.verdict is None else Refusal(row.verdict, row.why)

    def write(
        self,
        claim: Claim,
        params: Sequence[tuple[str, float, str]] = (),
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
        first_epoch: int | None = None,
    ) -> None:
        """Record what was drawn for a trial, all of it or nothing.

        Args:
            claim: the trial.
            params: name, value in Optuna's internal representation, distribution as JSON.
            user_attrs: shown to users.
            system_attrs: Optuna's.
            first_epoch: where the attempt goes on, if not from the start.

        Raises:
            TrialLost: the trial is no longer this worker's.
        """
        values = {
            "trial_id": claim.trial_id,
            "token": claim.token,
            "params": json.dumps(list(params)),
            "user": _texts(user_attrs),
            "system": _texts(system_attrs),
            "first_epoch": first_epoch,
        }
        if not _call(self._engine, _WRITE, values).done:
            raise _lost(claim)

    def end(
        self,
        claim: Claim,
        ending: Ending,
        value: float | None = None,
        reason: str | None = None,
        *,
        curve: Curve | None = None,
        has_model: bool = False,
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Record how a trial ended, with the epochs that were not reported yet.

        Raises:
            TrialLost: the trial is no longer this worker's; nothing is recorded.
        """
        values = _of(claim, curve or Curve()) | {
            "ended": ending,
            "value": value,
            "reason": reason,
            "has_model": has_model,
            "user": _texts(user_attrs),
            "system": _texts(system_attrs),
        }
        if not _call(self._engine, _END, values).done:
            raise _lost(claim)

    def is_over(self, claim: Claim) -> bool:
        """Return whether a trial has ended, here or elsewhere, or was deleted with its study."""
        return bool(_call(self._engine, _IS_OVER, {"trial_id": claim.trial_id}).done)

    def left_over(self, tokens: Sequence[str]) -> list[str]:
        """Return those tokens whose files nobody needs any more.

        They are of attempts at trials of this study that have ended, or were deleted with it, and
        hold no model: a process died before it removed them.
        """
        values = {"study_id": self._study.study_id, "tokens": list(tokens)}
        with self._engine.connect() as connection:
            return [str(token) for token in connection.execute(_LEFT_OVER, values).scalars()]

    def hand_back(
        self,
        claim: Claim,
        ended: GivenBack,
        reason: str,
        curve: Curve | None = None,
        checkpoint_epoch: int | None = None,
    ) -> bool:
        """Put a trial back into the queue with its curve, number and hyperparameters.

        After `max_attempts` attempts that ended in a fault the trial fails instead.

        Returns:
            False where the trial is another worker's by now, which is left alone.
        """
        values = _of(claim, curve or Curve()) | {
            "ended": ended,
            "reason": reason,
            "max_attempts": self._study.spec.workers.max_attempts,
            "checkpoint_epoch": checkpoint_epoch,
        }
        return bool(_call(self._engine, _HAND_BACK, values).done)


def _of(claim: Claim, curve: Curve) -> dict[str, Any]:
    return {
        "trial_id": claim.trial_id,
        "token": claim.token,
        "epochs": list(curve.epochs),
        "accuracies": list(curve.accuracies),
    }


def _texts(attrs: Mapping[str, Any] | None) -> str:
    """Return attributes as a JSON object of JSON texts."""
    return json.dumps({key: json.dumps(value) for key, value in (attrs or {}).items()})


def _lost(claim: Claim) -> TrialLost:
    return TrialLost(f"attempt {claim.attempt} lost its trial to another worker")


def _call(engine: sa.Engine, statement: sa.TextClause, values: Mapping[str, Any]) -> Any:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        result = connection.execute(statement, values)
        return result.one() if result.returns_rows else None


_ENTER = sa.text(
    "INSERT INTO tlsearch.worker_sessions"
    " (worker_id, name, host, pid, device, device_name, stalled_after_seconds)"
    " VALUES (:worker_id, :name, :host, :pid, :device, :device_name, :stalled_after_seconds)"
    " ON CONFLICT DO NOTHING"
)
_SEEN = sa.text(
    "UPDATE tlsearch.worker_sessions SET last_seen_at = clock_timestamp()"
    " WHERE worker_id = :worker_id"
)
_LEAVE = sa.text(
    "UPDATE tlsearch.worker_sessions SET last_seen_at = clock_timestamp(),"
    " left_at = clock_timestamp(), left_because = :because WHERE worker_id = :worker_id"
)
_CURVE = "CAST(:epochs AS integer[]), CAST(:accuracies AS double precision[])"
_HELD = "CAST(:trial_id AS integer), CAST(:token AS uuid)"
_CLAIM = sa.text(
    "SELECT * FROM tlsearch.claim_trial(:study_id, CAST(:worker_id AS uuid), CAST(:token AS uuid),"
    " :keep, CAST(:stalled AS double precision), :max_attempts)"
)
_REFUSAL = sa.text("SELECT * FROM tlsearch.refusal(:study_id, :keep)")
_SURPLUS = sa.text("SELECT tlsearch.surplus_models(:study_id, :keep)")
_REPORT = sa.text(
    f"SELECT * FROM tlsearch.report_trial({_HELD}, {_CURVE}, CAST(:checkpoint_epoch AS integer))"
)
_WRITE = sa.text(
    f"SELECT tlsearch.write_trial({_HELD}, CAST(:params AS jsonb), CAST(:user AS jsonb),"
    " CAST(:system AS jsonb), CAST(:first_epoch AS integer)) AS done"
)
_END = sa.text(
    f"SELECT tlsearch.end_trial({_HELD}, :ended, CAST(:value AS double precision), :reason,"
    f" :has_model, {_CURVE}, CAST(:user AS jsonb), CAST(:system AS jsonb)) AS done"
)
_IS_OVER = sa.text(
    "SELECT NOT EXISTS (SELECT FROM trials"
    " WHERE trial_id = :trial_id AND state IN ('WAITING', 'RUNNING')) AS done"
)
_LEFT_OVER = sa.text(
    "SELECT token FROM tlsearch.attempts AS a WHERE study_id = :study_id AND NOT has_model"
    " AND token = ANY(CAST(:tokens AS uuid[])) AND NOT EXISTS (SELECT FROM trials AS t"
    " WHERE t.trial_id = a.trial_id AND t.state IN ('WAITING', 'RUNNING'))"
)
_HAND_BACK = sa.text(
    f"SELECT tlsearch.hand_back({_HELD}, :ended, :reason, :max_attempts, {_CURVE},"
    " CAST(:checkpoint_epoch AS integer)) AS done"
)
