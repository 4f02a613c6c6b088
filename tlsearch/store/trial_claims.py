"""What a worker may ask and tell about the trials of one study."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tlsearch.records import Failure
from tlsearch.store.claim_records import Claim, Curve, Refusal, Release


class TrialClaims(Protocol):
    """Claims trials of one study for one worker, and ends or releases them.

    `Claims` does so in the database. Each call is one transaction, and may be repeated after a lost
    answer. After a claim the trial belongs to the worker until one of `complete`, `prune`, `fail`,
    `release` and `release_failed`; a worker without a heartbeat (`report`, `write`) loses it.
    """

    def claim(self, token: str, keep: int = 0) -> Claim | Refusal:
        """Claim the next trial: a queued one, else a new one while the budget lasts.

        Args:
            token: a fresh UUID; the same one again returns the same trial.
            keep: trials of the budget to leave for what will be queued.

        Raises:
            StudyError: the study was deleted.
        """

    def refusal(self, keep: int = 0) -> Refusal | None:
        """Return why the study has no trial to run now, or None where it has one."""

    def report(
        self, claim: Claim, curve: Curve, checkpoint_epoch: int | None = None
    ) -> Refusal | None:
        """Record epochs; a heartbeat.

        Returns:
            Why the worker should release the trial, or None.

        Raises:
            TrialLost: the trial is no longer this worker's; nothing is recorded.
        """

    def write(
        self,
        claim: Claim,
        params: Sequence[tuple[str, float, str]] = (),
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
        first_epoch: int | None = None,
    ) -> None:
        """Record what was drawn for a trial, all of it or nothing; a heartbeat.

        Args:
            claim: the trial.
            params: name, value in Optuna's internal representation, distribution as JSON.
            user_attrs: shown to users.
            system_attrs: Optuna's.
            first_epoch: where the attempt goes on, if not from the start.

        Raises:
            TrialLost: the trial is no longer this worker's.
        """

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
        """Record that a trial ran to its end, with the epochs that were not reported yet.

        Args:
            claim: the trial.
            val_accuracy: its result, a fraction.
            curve: epochs that were not reported yet.
            has_model: whether the attempt's file now holds the trained model.
            user_attrs: shown to users.
            system_attrs: Optuna's.

        Raises:
            TrialLost: the trial is no longer this worker's; nothing is recorded.
        """

    def prune(
        self,
        claim: Claim,
        val_accuracy: float,
        curve: Curve,
        *,
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that a trial was pruned; arguments and errors as `complete`."""

    def fail(
        self,
        claim: Claim,
        failure: Failure,
        curve: Curve,
        *,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that a trial failed for good; arguments and errors as `complete`."""

    def release(
        self, claim: Claim, why: Release, curve: Curve, checkpoint_epoch: int | None
    ) -> bool:
        """Put a trial back into the queue with its curve, number and hyperparameters.

        Returns:
            False where the trial is another worker's by now, which is left alone.
        """

    def release_failed(
        self, claim: Claim, failure: Failure, curve: Curve, checkpoint_epoch: int | None
    ) -> bool:
        """Put a trial back into the queue, to be tried again after a failure.

        After `max_attempts` attempts that ended in a failure of any kind the trial fails instead.

        Returns:
            False where the trial is another worker's by now, which is left alone.
        """

    def is_over(self, claim: Claim) -> bool:
        """Return whether a trial has ended, here or elsewhere, or was deleted with its study."""

    def surplus_models(self, keep: int) -> list[str]:
        """Discard the trained models of all but the best trials.

        Returns:
            The tokens that name their files.
        """

    def unneeded_files(self, tokens: Sequence[str]) -> list[str]:
        """Return those tokens whose files no worker needs any more.

        They are of attempts at trials of this study that have ended, or were deleted with it, and
        hold no model: a process died before it removed them.
        """
