"""Claims trials of one study and runs them."""

import uuid
from collections.abc import Callable

from tlsearch.errors import TrialLost
from tlsearch.prior import normal_priors
from tlsearch.records import TrialRecord
from tlsearch.sampler import build_sampler
from tlsearch.store.claims import Claim, Refusal
from tlsearch.store.measures import read_prior
from tlsearch.worker.attempt import Attempt, Setting


class TrialRunner(Setting):
    """Runs trials of one study at one workplace."""

    def claim(self, keep: int = 0) -> Claim | Refusal:
        """Claim the study's next trial; waits for a database that is away.

        A claim has to be followed by `run`: until that returns, signals are only noted.
        """
        token = str(uuid.uuid4())
        self.shutdown.hold()
        try:
            outcome = self.patience.call(lambda: self.claims.claim(token, keep))
        except BaseException:
            self.shutdown.release()
            raise
        if isinstance(outcome, Refusal):
            self.shutdown.release()
        return outcome

    def follow_prior(self) -> None:
        """Let the sampler draw from the prior as the database holds it now."""
        if self.study.spec.sampler.name != "earned_prior":
            return
        prior = self.patience.call(lambda: read_prior(self.database, self.study.study_id))
        beliefs = normal_priors(prior) if prior else None
        self.optuna_study.sampler = build_sampler(self.study.spec.sampler, beliefs)

    def run(
        self, claim: Claim, tell: Callable[[TrialRecord | None], None] = lambda _: None
    ) -> TrialRecord | None:
        """Run a trial and record how it ended: complete, pruned, failed, or back in the queue.

        Args:
            claim: the trial.
            tell: told of the end, also where a signal came meanwhile, which this then obeys.

        Returns:
            How it ended; None where it did not end here: handed back, or another worker has it.

        Raises:
            DatabaseAway: the database stayed away; the trial is taken over from its checkpoint.
        """
        try:
            ended = self._attempt(claim)
            tell(ended)
            return ended
        finally:
            self.storage.release(claim.trial_id)
            self.shutdown.release()

    def _attempt(self, claim: Claim) -> TrialRecord | None:
        try:
            return Attempt(self, claim).run()
        except TrialLost:
            return None
