"""Workers: claim a trial, fine-tune, record, repeat."""

from tlsearch.worker.progress import Progress, SilentProgress
from tlsearch.worker.run import WorkerSummary, measure_study, run_worker

__all__ = [
    "Progress",
    "SilentProgress",
    "WorkerSummary",
    "measure_study",
    "run_worker",
]
