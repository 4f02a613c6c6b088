"""Workers: claim a trial, fine-tune, record, repeat."""

from tlsearch.worker.loop import WorkerSummary, run_worker
from tlsearch.worker.progress import Progress, SilentProgress

__all__ = ["Progress", "SilentProgress", "WorkerSummary", "run_worker"]
