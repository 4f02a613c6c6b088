"""Runs one worker in this process, for people, scripts or the launcher."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from tlsearch.cli.display import console, print_json, trial_as_json
from tlsearch.cli.json_progress import JsonProgress, report_end, stop_with_launcher

if TYPE_CHECKING:
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.worker import Progress, WorkerSummary


@dataclass(frozen=True)
class WorkerOptions:
    """How one worker is to run; see `tlsearch.worker.run_worker`."""

    studies: Sequence[str]
    storage: str | None
    device: str
    max_trials: int | None
    timeout_seconds: float | None
    data_path: str | None
    weights: str | None
    artifacts: str | None = None

    def run(self, progress: "Progress | None" = None) -> "WorkerSummary":
        """Run the worker."""
        from tlsearch.worker import run_worker

        return run_worker(
            self.studies,
            self.storage,
            device=self.device,
            max_trials=self.max_trials,
            timeout_seconds=self.timeout_seconds,
            data_path=self.data_path,
            weights=self.weights,
            artifacts=self.artifacts,
            progress=progress,
        )


def run_for_scripts(options: WorkerOptions) -> None:
    """Run a worker and print the trials it ended as JSON."""
    summary = options.run()
    ended = zip(summary.studies, summary.trials, strict=True)
    print_json([{"study": study} | trial_as_json(trial) for study, trial in ended])


def run_for_people(options: WorkerOptions) -> None:
    """Run a worker and show its progress."""
    with following(options.studies, options.storage) as progress:
        try:
            summary = options.run(progress)
        except KeyboardInterrupt:
            console.print("interrupted: the running trial is back in the queue")
            raise typer.Exit(130) from None
    hints = ", ".join(f"tlsearch best {shlex.quote(study)}" for study in options.studies)
    console.print(f"trials run: {len(summary.trials)}; {summary.why} ({hints})")


def run_for_launcher(options: WorkerOptions, threads: int | None) -> None:
    """Run a worker that reports JSON progress to a program, the launcher."""
    progress = JsonProgress()
    stop_with_launcher(progress)
    with report_end(progress):
        progress.preparing("starting")
        from tlsearch.studies.read import StudyReader

        progress.follow({study: StudyReader(study, options.storage) for study in options.studies})
        set_threads(threads)
        summary = options.run(progress)
        progress.done("spent" if summary.budget_spent else "limit", summary.why)


def following(studies: Sequence[str], storage: str | None) -> "TerminalProgress":
    """Return a display of a worker's progress that shows the state of these studies as well."""
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.studies.read import StudyReader

    progress = TerminalProgress()
    progress.follow({study: StudyReader(study, storage) for study in studies})
    return progress


def set_threads(threads: int | None) -> None:
    """Set how many CPU threads torch uses."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
