"""Sees to it that the rate of a study's plain default is settled once its single runs ended.

A study of finalists has two stages: which rate the plain default gets, and the seeds. The worker
that finds the first one over queues the second.
"""

from tlsearch.store.finals import rates_ended, read_plan, settle_default
from tlsearch.worker.context import WorkerContext

WAITING = "waiting for the runs of the plain default that decide on its rate, under way elsewhere"


class Settling:
    """The stages of one study of finalists, between a worker's trials.

    Args:
        context: of the worker on that study.

    Attributes:
        over: whether nothing more will be queued.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._looked = False
        self.over = False

    def step(self) -> bool:
        """Do what is due; whether runs were queued.

        Raises:
            StorageError: the study's lock was not free in time.
        """
        database, study_id = self._context.database, self._context.study.study_id
        if self.over:
            return False
        plan = read_plan(database, study_id)
        if plan is None:
            self.over = True
            return False
        if self._looked and not plan.settled and not rates_ended(database, study_id, plan):
            return False
        self._looked = True
        self.over, n_queued = settle_default(database, study_id)
        return n_queued > 0
