"""The worker's neighbours in memory: a server that hands out claims, and Optuna's side of trials.

They keep the contracts of `TrialClaims` and `RunningTrials`, so that the worker's decisions can be
tested without a database and without processes. tests/db and tests/acceptance test the real ones.
"""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState, create_trial

from tlsearch.errors import StudyError, TrialLost
from tlsearch.optuna_ext.pending import Pending
from tlsearch.records import FIXED_FEATURES, Failure, Hyperparameters, TrialRecord, Variation
from tlsearch.records.energy import spans_of
from tlsearch.store.claims import Claim, Curve, Refusal, Release
from tlsearch.worker.optuna_trials import OpenTrial

OUTAGE = sa.exc.OperationalError("SELECT 1", {}, Exception("server closed the connection"))


@dataclass
class MemoryTrial:
    """A trial as the server has it."""

    trial_id: int
    params: Hyperparameters
    queued: bool = True
    state: str = "waiting"
    value: float | None = None
    curve: dict[int, float] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    checkpoint_epoch: int | None = None
    has_model: bool = False
    reason: tuple[str, str] | None = None
    faults: int = 0


class MemoryServer:
    """Trials of one study; gives each to one token at a time.

    Attributes:
        verdict: what the study wants of its workers; None where they should go on.
        deleted: whether the study is gone.
        out_of_reach: calls that fail from now on as if the database were away.
    """

    def __init__(self, max_attempts: int = 3) -> None:
        self.trials: dict[int, MemoryTrial] = {}
        self.verdict: Refusal | None = None
        self.deleted = False
        self.out_of_reach = 0
        self.max_attempts = max_attempts
        self.calls: list[str] = []
        self._ids = itertools.count(1)
        self._lock = threading.RLock()

    def queue(self, params: Hyperparameters, *, queued: bool = True) -> MemoryTrial:
        """Put a trial into the queue."""
        trial = MemoryTrial(next(self._ids), params, queued)
        self.trials[trial.trial_id] = trial
        return trial

    def take_over(self, trial: MemoryTrial) -> None:
        """Give a running trial to another worker."""
        trial.tokens.append("another worker's")

    def holder(self, claim: Claim, name: str) -> MemoryTrial:
        """Return a trial for the holder of its token, else raise; count the call."""
        with self._lock:
            self.call(name)
            trial = self.trials.get(claim.trial_id)
            if trial is None or trial.state != "running" or trial.tokens[-1] != claim.token:
                raise TrialLost("lost")
            return trial

    def call(self, name: str) -> None:
        """Count a call; fail where the server is out of reach."""
        with self._lock:
            self.calls.append(name)
            if self.out_of_reach > 0:
                self.out_of_reach -= 1
                raise OUTAGE


class MemoryClaims:
    """`TrialClaims` on a `MemoryServer`."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.keeps: list[int] = []

    def claim(self, token: str, keep: int = 0) -> Claim | Refusal:
        self.server.call("claim")
        self.keeps.append(keep)
        if self.server.deleted:
            raise StudyError("study 'memory' was deleted")
        if (refusal := self.refusal(keep)) is not None:
            return refusal
        trial = next(each for each in self.server.trials.values() if each.state == "waiting")
        earlier = tuple(reversed(trial.tokens))
        trial.state = "running"
        trial.tokens.append(token)
        return Claim(trial.trial_id, token, len(trial.tokens), earlier)

    def refusal(self, keep: int = 0) -> Refusal | None:
        if self.server.verdict is not None:
            return self.server.verdict
        states = {trial.state for trial in self.server.trials.values()}
        if "waiting" in states:
            return None
        return Refusal("wait", "others run") if "running" in states else Refusal("done", "spent")

    def report(
        self, claim: Claim, curve: Curve, checkpoint_epoch: int | None = None
    ) -> Refusal | None:
        trial = self.server.holder(claim, "report")
        self._keep(trial, curve, checkpoint_epoch)
        return self.server.verdict

    def write(
        self,
        claim: Claim,
        params: Sequence[tuple[str, float, str]] = (),
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
        first_epoch: int | None = None,
    ) -> None:
        trial = self.server.holder(claim, "write")
        trial.attrs |= {**(user_attrs or {}), **(system_attrs or {})}
        if first_epoch is not None:
            trial.attrs["first_epoch"] = first_epoch

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
        trial = self.server.holder(claim, "complete")
        self._keep(trial, curve)
        trial.state, trial.value, trial.has_model = "complete", val_accuracy, has_model
        trial.attrs |= {**(user_attrs or {}), **(system_attrs or {})}

    def prune(
        self,
        claim: Claim,
        val_accuracy: float,
        curve: Curve,
        *,
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        trial = self.server.holder(claim, "prune")
        self._keep(trial, curve)
        trial.state, trial.value = "pruned", val_accuracy
        trial.attrs |= {**(user_attrs or {}), **(system_attrs or {})}

    def fail(
        self,
        claim: Claim,
        failure: Failure,
        curve: Curve,
        *,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        trial = self.server.holder(claim, "fail")
        self._keep(trial, curve)
        trial.state, trial.reason = "fail", (failure.kind, failure.message)
        trial.attrs |= user_attrs or {}

    def release(
        self, claim: Claim, why: Release, curve: Curve, checkpoint_epoch: int | None
    ) -> bool:
        return self._give_back(claim, (why.kind, why.reason), curve, checkpoint_epoch)

    def release_failed(
        self, claim: Claim, failure: Failure, curve: Curve, checkpoint_epoch: int | None
    ) -> bool:
        reason = (failure.kind, failure.message)
        if not self._give_back(claim, reason, curve, checkpoint_epoch):
            return False
        trial = self.server.trials[claim.trial_id]
        trial.faults += 1
        if trial.faults >= self.server.max_attempts:
            trial.state = "fail"
        return True

    def is_over(self, claim: Claim) -> bool:
        trial = self.server.trials.get(claim.trial_id)
        return trial is None or trial.state not in ("waiting", "running")

    def surplus_models(self, keep: int) -> list[str]:
        kept = [
            trial
            for trial in self.server.trials.values()
            if trial.has_model and trial.attrs.get("origin") != FIXED_FEATURES
        ]
        kept.sort(key=lambda trial: -(trial.value or 0))
        for trial in kept[keep:]:
            trial.has_model = False
        return [trial.tokens[-1] for trial in kept[keep:]]

    def unneeded_files(self, tokens: Sequence[str]) -> list[str]:
        return []

    def _give_back(
        self,
        claim: Claim,
        reason: tuple[str, str],
        curve: Curve,
        checkpoint_epoch: int | None,
    ) -> bool:
        try:
            trial = self.server.holder(claim, "release")
        except TrialLost:
            return False
        self._keep(trial, curve, checkpoint_epoch)
        trial.state, trial.reason = "waiting", reason
        return True

    def _keep(self, trial: MemoryTrial, curve: Curve, checkpoint_epoch: int | None = None) -> None:
        trial.curve |= dict(zip(curve.epochs, curve.accuracies, strict=True))
        if checkpoint_epoch is not None:
            trial.checkpoint_epoch = checkpoint_epoch


class MemoryTrials:
    """`RunningTrials` on a `MemoryServer`.

    Attributes:
        prune_after: the epoch after which the pruner stops trials; None = never.
        told: what the sampler was told.
        on_ended: called when the sampler is told; may raise.
    """

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._open: dict[int, OpenTrial] = {}
        self.prune_after: int | None = None
        self.told: list[tuple[int, TrialState, float]] = []
        self.on_ended: Callable[[], None] = lambda: None
        self.closed: list[int] = []

    def open(self, trial_id: int) -> OpenTrial:
        trial = self._server.trials[trial_id]
        reported = max(trial.curve, default=0)
        is_floor = trial.attrs.get("origin") == FIXED_FEATURES
        found = OpenTrial(
            trial_id - 1,
            reported,
            not trial.queued,
            is_floor,
            dict(trial.curve),
            Variation.from_attrs(trial.attrs),
            spans_of(trial.attrs),
        )
        self._open[trial_id] = found
        return found

    def suggest(self, trial_id: int) -> Hyperparameters:
        return self._server.trials[trial_id].params

    def should_prune(self, trial_id: int) -> bool:
        return self.prune_after is not None and max(self._open[trial_id].curve) >= self.prune_after

    def ended(self, trial_id: int, state: TrialState, score: float) -> None:
        self.on_ended()
        self.told.append((trial_id, state, score))

    def has_pending(self, trial_id: int) -> bool:
        return False

    def take_pending(self, trial_id: int) -> Pending:
        return Pending()

    def finished(self) -> list[FrozenTrial]:
        ended = [trial for trial in self._server.trials.values() if trial.state == "complete"]
        return [_frozen(trial) for trial in ended]

    def counts(self) -> dict[str, int]:
        return {}

    def record(self, trial_id: int) -> TrialRecord | None:
        trial = self._server.trials[trial_id]
        kind, reason = trial.reason or (None, None)
        return TrialRecord(
            number=trial_id - 1,
            state=trial.state,
            val_accuracy=trial.value,
            params=trial.params,
            epochs=len(trial.curve),
            seconds=None,
            reason_kind=kind,
            reason=reason,
        )

    def close(self, trial_id: int) -> None:
        self.closed.append(trial_id)


def _frozen(trial: MemoryTrial) -> FrozenTrial:
    is_floor = trial.attrs.get("origin") == FIXED_FEATURES
    found = create_trial(
        state=TrialState.COMPLETE,
        value=trial.value,
        intermediate_values=trial.curve,
        user_attrs=trial.attrs | ({} if is_floor else {"canonical": trial.params.as_dict()}),
    )
    found.number = trial.trial_id - 1
    return found
