"""Which worker may run which trial: the Python side of `db/functions/trials.sql`.

Each method is one call of one function on the server, in one transaction, and may be repeated
after a lost answer.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tlsearch.errors import StudyError, TrialLost
from tlsearch.records import Failure
from tlsearch.store import claim_statements as sql
from tlsearch.store.claim_records import Claim, Curve, Refusal, Release
from tlsearch.store.statements import call
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.trial_claims import TrialClaims
from tlsearch.store.worker_registration import WorkerRegistration

__all__ = [
    "Claim",
    "Claims",
    "Curve",
    "Refusal",
    "Release",
    "TrialClaims",
    "WorkerRegistration",
]


class Claims(TrialClaims):
    """Claims trials of one study for one worker in the database; see `TrialClaims`.

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
        """Claim the next trial: a queued one, else a new one while the budget lasts."""
        workers = self._study.spec.workers
        row = self._call(
            sql.CLAIM,
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
        row = self._call(sql.REFUSAL, {"study_id": self._study.study_id, "keep": keep})
        return None if row.verdict is None else Refusal(row.verdict, row.why)

    def report(
        self, claim: Claim, curve: Curve, checkpoint_epoch: int | None = None
    ) -> Refusal | None:
        """Record epochs; a heartbeat."""
        values = _of(claim, curve) | {"checkpoint_epoch": checkpoint_epoch}
        row = self._call(sql.REPORT, values)
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
        """Record what was drawn for a trial, all of it or nothing; a heartbeat."""
        values = {
            "trial_id": claim.trial_id,
            "token": claim.token,
            "params": json.dumps(list(params)),
            "user": _texts(user_attrs),
            "system": _texts(system_attrs),
            "first_epoch": first_epoch,
        }
        if not self._call(sql.WRITE, values).done:
            raise _lost(claim)

    def complete(
        self,
        claim: Claim,
        val_accuracy: float,
        curve: Curve,
        *,
        has_model: bool = False,
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that a trial ran to its end, with the epochs that were not reported yet."""
        values = {"ended": "complete", "value": val_accuracy, "has_model": has_model}
        self._end(claim, curve, values, user_attrs, system_attrs)

    def prune(
        self,
        claim: Claim,
        val_accuracy: float,
        curve: Curve,
        *,
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that a trial was pruned, with the epochs that were not reported yet."""
        values = {"ended": "pruned", "value": val_accuracy}
        self._end(claim, curve, values, user_attrs, system_attrs)

    def fail(
        self,
        claim: Claim,
        failure: Failure,
        curve: Curve,
        *,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that a trial failed for good, with the epochs that were not reported yet."""
        self._end(claim, curve, {"ended": "fail", **_failure(failure)}, user_attrs, None)

    def release(
        self, claim: Claim, why: Release, curve: Curve, checkpoint_epoch: int | None
    ) -> bool:
        """Put a trial back into the queue with its curve, number and hyperparameters."""
        values = {"ended": why.kind, "failure_kind": None, "reason": _storable(why.reason)}
        return self._release(claim, curve, checkpoint_epoch, values)

    def release_failed(
        self, claim: Claim, failure: Failure, curve: Curve, checkpoint_epoch: int | None
    ) -> bool:
        """Put a trial back into the queue, to be tried again after a failure."""
        ended = "out_of_memory" if failure.kind == "out_of_memory" else "error"
        values = {"ended": ended, **_failure(failure)}
        return self._release(claim, curve, checkpoint_epoch, values)

    def is_over(self, claim: Claim) -> bool:
        """Return whether a trial has ended, here or elsewhere, or was deleted with its study."""
        return bool(self._call(sql.IS_OVER, {"trial_id": claim.trial_id}).done)

    def surplus_models(self, keep: int) -> list[str]:
        """Discard the trained models of all but the best trials; return their files' tokens."""
        values = {"study_id": self._study.study_id, "keep": keep}
        with self._engine.begin() as connection:
            return [str(token) for token in connection.execute(sql.SURPLUS, values).scalars()]

    def unneeded_files(self, tokens: Sequence[str]) -> list[str]:
        """Return those tokens whose files no worker needs any more."""
        values = {"study_id": self._study.study_id, "tokens": list(tokens)}
        with self._engine.connect() as connection:
            return [str(token) for token in connection.execute(sql.UNNEEDED, values).scalars()]

    def _end(
        self,
        claim: Claim,
        curve: Curve,
        values: Mapping[str, Any],
        user_attrs: Mapping[str, Any] | None,
        system_attrs: Mapping[str, Any] | None,
    ) -> None:
        attrs = {"user": _texts(user_attrs), "system": _texts(system_attrs)}
        if not self._call(sql.END, {**_NOTHING, **values, **attrs, **_of(claim, curve)}).done:
            raise _lost(claim)

    def _release(
        self, claim: Claim, curve: Curve, checkpoint_epoch: int | None, values: Mapping[str, Any]
    ) -> bool:
        max_attempts = self._study.spec.workers.max_attempts
        more = {"max_attempts": max_attempts, "checkpoint_epoch": checkpoint_epoch}
        return bool(self._call(sql.RELEASE, {**values, **more, **_of(claim, curve)}).done)

    def _call(self, statement: sa.TextClause, values: Mapping[str, Any]) -> Any:
        return call(self._engine, statement, values)


_NOTHING = {"value": None, "failure_kind": None, "reason": None, "has_model": False}


def _of(claim: Claim, curve: Curve) -> dict[str, Any]:
    return {
        "trial_id": claim.trial_id,
        "token": claim.token,
        "epochs": list(curve.epochs),
        "accuracies": list(curve.accuracies),
    }


def _failure(failure: Failure) -> dict[str, str]:
    return {"failure_kind": failure.kind, "reason": _storable(failure.message)}


def _storable(text: str) -> str:
    """Return a text that PostgreSQL can hold: without NUL and half characters."""
    return text.replace("\0", " ").encode(errors="backslashreplace").decode()


def _texts(attrs: Mapping[str, Any] | None) -> str:
    """Return attributes as a JSON object of JSON texts."""
    return json.dumps({key: json.dumps(value) for key, value in (attrs or {}).items()})


def _lost(claim: Claim) -> TrialLost:
    return TrialLost(f"attempt {claim.attempt} lost its trial to another worker")
