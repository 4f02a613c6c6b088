"""Reports a trial's epochs, and heartbeats between them, while training goes on.

Training never waits for the database: epochs are held here and sent by a thread, in order, as soon
as the database can be reached. What the study wants (pause, stop, the trial is another's) comes
back with each report.
"""

import threading
from types import TracebackType

from tlsearch.errors import DatabaseAway, TrialLost
from tlsearch.store.claims import Claim, Curve, Refusal, TrialClaims
from tlsearch.store.outages import RetryPolicy
from tlsearch.worker.progress import Progress

_GAP_SECONDS = 0.25  # between two reports: short epochs go in batches
_CLOSE_SECONDS = 2.0  # for a report under way


class EpochReporter:
    """The epochs of one claimed trial on their way to the database.

    Args:
        claims: where to report.
        claim: the trial.
        interval_seconds: between two heartbeats.
        limit_seconds: of an outage; then the trial should be released.
        progress: told of outages.

    Attributes:
        refusal: why the study wants the trial released; None where it does not.
    """

    def __init__(
        self,
        claims: TrialClaims,
        claim: Claim,
        interval_seconds: float,
        limit_seconds: float,
        progress: Progress,
    ) -> None:
        self._claims = claims
        self._claim = claim
        self._interval = interval_seconds
        self._progress = progress
        self._waiting = Curve()
        self._checkpoint_epoch: int | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._over = threading.Event()
        self._away = False
        # Waits no longer than between two heartbeats: once the server is back, a worker that is
        # late counts as stalled.
        self._retry = RetryPolicy(limit_seconds, self._over, self._note_outage, interval_seconds)
        self._failure: Exception | None = None
        self.refusal: Refusal | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "EpochReporter":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def away(self) -> bool:
        """Whether the last report did not reach the database."""
        return self._away

    def report(self, epoch: int, score: float) -> None:
        """Take an epoch; never waits."""
        with self._lock:
            self._waiting.epochs.append(epoch)
            self._waiting.accuracies.append(score)
        self._wake.set()

    def note_checkpoint(self, epoch: int) -> None:
        """Take note that a checkpoint holds all epochs up to this one."""
        with self._lock:
            self._checkpoint_epoch = epoch

    def should_stop(self) -> bool:
        """Whether training should stop at the next step; `check` says why."""
        return self.refusal is not None or self._failure is not None

    def check(self) -> None:
        """Raise what stopped the reports, if anything did.

        Raises:
            TrialLost: the trial is another worker's.
            DatabaseAway: the outage lasted longer than the limit.
            sqlalchemy.exc.SQLAlchemyError: the database refused.
        """
        if self._failure is not None:
            raise self._failure

    def raise_if_lost(self) -> None:
        """Raise TrialLost where the trial is another worker's by now."""
        if isinstance(self._failure, TrialLost):
            raise self._failure

    def close(self) -> None:
        """Stop reporting; `undelivered` returns what is left."""
        self._over.set()
        self._wake.set()
        self._thread.join(timeout=min(self._interval, _CLOSE_SECONDS))

    def undelivered(self) -> tuple[Curve, int | None]:
        """Return the epochs that did not arrive, and the last checkpoint's epoch."""
        with self._lock:
            return (
                Curve(list(self._waiting.epochs), list(self._waiting.accuracies)),
                self._checkpoint_epoch,
            )

    def _run(self) -> None:
        while True:
            self._wake.wait(self._interval)
            self._wake.clear()  # first: `close` sets `_over`, then `_wake`
            if self._over.is_set():
                return
            try:
                self._retry.call(self._send)
            except DatabaseAway as away:
                self._failure = None if self._over.is_set() else away
                return
            except Exception as error:  # TrialLost, or a fault of ours: no heartbeat can be sent
                self._failure = error
                return
            self._over.wait(_GAP_SECONDS)

    def _send(self) -> None:
        curve, checkpoint_epoch = self.undelivered()
        refusal = self._claims.report(self._claim, curve, checkpoint_epoch)
        self.refusal = self.refusal or refusal  # the first one is acted on, even if it passes
        with self._lock:  # what came meanwhile is behind what was sent
            del self._waiting.epochs[: len(curve.epochs)]
            del self._waiting.accuracies[: len(curve.accuracies)]
        if self._away:
            self._progress.preparing("the database is back; all epochs are delivered")
        self._away = False

    def _note_outage(self, _: float, why: str) -> None:
        self._away = True
        self._progress.preparing(
            f"the database is out of reach ({why}); training goes on, epochs are held"
        )
