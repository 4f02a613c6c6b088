"""Workers: claim a trial, fine-tune, record, repeat."""

from tlsearch.worker.loop import WorkerSummary
from tlsearch.worker.measure import measure_study
from tlsearch.worker.progress import Progress, SilentProgress
from tlsearch.worker.run import run_worker

__all__ = ["Progress", "SilentProgress", "WorkerSummary", "measure_study", "run_worker"]
