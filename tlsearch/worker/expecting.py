"""Keeps the expected scores of a study's trials up to date, at little cost."""

import logging
import time
from contextlib import suppress

from tlsearch.errors import described
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.store.expected import expected_missing, write_expected
from tlsearch.store.locks import EXPECTING, sole_attempt
from tlsearch.store.outages import DATABASE_ERRORS
from tlsearch.store.trials import to_record
from tlsearch.worker.context import WorkerContext

SHARE = 0.02  # of a worker's time at most, over many trials
_log = logging.getLogger(__name__)


class Expecting:
    """Computes the expected scores of a study's complete trials, and stores them.

    One worker of a study is enough at a time; where another is at it, this one goes on with its
    trials. No failure here costs a trial or ends a worker: figures are missing, or are older.

    Args:
        context: what the worker needs to work on the study.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._history = StudyHistory(context.database.engine, context.study.study_id)
        self._due = 0.0
        self._warned = False

    def trial_completed(self) -> None:
        """Compute them again, unless that would take too large a share of this worker's time."""
        if time.monotonic() >= self._due and not self._context.signals.requested.is_set():
            self._try(at_end=False)

    def catch_up(self) -> None:
        """Compute them where a complete trial has none, as this worker leaves the study."""
        self._try(at_end=True)

    def _try(self, *, at_end: bool) -> None:
        engine, study_id = self._context.database.engine, self._context.study.study_id
        try:
            if at_end and not expected_missing(engine, study_id):
                return
            with sole_attempt(engine, study_id, EXPECTING) as free:
                if free:
                    self._compute()
        except DATABASE_ERRORS:  # away, or this user may not: trials say so where it matters
            _log.info("expected scores were not written", exc_info=True)
        except Exception as error:  # of the numerical libraries
            _log.info("expected scores could not be computed", exc_info=True)
            if not self._warned:
                with suppress(Exception):
                    what = f"expected scores could not be computed: {described(error)}"
                    self._context.progress.preparing(what)
            self._warned = True

    def _compute(self) -> None:
        from tlsearch.estimate import expected_scores  # loads scikit-learn

        began = time.monotonic()
        study = self._context.study
        self._history.refresh_finished()
        trials = [to_record(trial) for trial in self._history.finished()]
        found = expected_scores(trials, study.space, study.data.n_val)
        if found:
            figures = {number: (each.score, each.sd) for number, each in found.items()}
            write_expected(self._context.database.engine, study.study_id, figures)
        now = time.monotonic()
        self._due = now + (now - began) / SHARE
