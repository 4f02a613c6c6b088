"""What a worker and the database say to each other about trials."""

from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["wait", "done", "paused", "stopped", "budget"]
ReleaseKind = Literal["preempted", "paused", "stopped", "budget"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no trial to run, or why the one that runs should be released.

    Attributes:
        verdict: `wait`: trials run elsewhere and may yet come back into the queue; `paused`;
            `done`, `stopped`, `budget`: the study is over, unless a user raises its budget or
            resumes it.
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


@dataclass(frozen=True, slots=True)
class Release:
    """Why a worker gives a trial back that is in good order.

    Attributes:
        kind: `preempted`: the worker has to end; `paused`, `stopped`, `budget`: the study wants it.
        reason: a clause for the user.
    """

    kind: ReleaseKind
    reason: str
