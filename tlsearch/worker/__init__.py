"""Workers: claim a trial, fine-tune, record, repeat."""

from tlsearch.worker.loop import WorkerSummary, measure_study, run_worker
from tlsearch.worker.measuring import prior_of
from tlsearch.worker.progress import Progress, SilentProgress
from tlsearch.worker.seeding import seeds_of

__all__ = [
    "Progress",
    "SilentProgress",
    "WorkerSummary",
    "measure_study",
    "prior_of",
    "run_worker",
    "seeds_of",
]
