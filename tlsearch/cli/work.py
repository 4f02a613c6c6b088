"""Runs one worker in this process, for a person, a script or the launcher."""

import shlex
from typing import Any

import typer

from tlsearch.cli.display import TerminalProgress, console, print_json, trial_as_json
from tlsearch.cli.json_progress import JsonProgress, stop_when_alone, telling


def work(studies: list[str], storage: str | None, limits: dict[str, Any], as_json: bool) -> None:
    """Run one worker in this process."""
    from tlsearch.worker import run_worker

    if as_json:
        summary = run_worker(studies, storage, **limits)
        ended = zip(summary.studies, summary.trials, strict=True)
        print_json([{"study": study} | trial_as_json(trial) for study, trial in ended])
        return
    with progress_of(*studies, storage=storage) as progress:
        try:
            summary = run_worker(studies, storage, progress=progress, **limits)
        except KeyboardInterrupt:
            console.print("interrupted: a trial under way is back in the queue")
            raise typer.Exit(130) from None
    hints = ", ".join(f"tlsearch best {shlex.quote(study)}" for study in studies)
    console.print(f"trials run: {len(summary.trials)}; {summary.why} ({hints})")


def work_with_news(
    studies: list[str], storage: str | None, threads: int | None, limits: dict[str, Any]
) -> None:
    """Run one worker in this process that tells a program, the launcher, of its work."""
    news = JsonProgress()
    stop_when_alone()
    with telling(news):
        news.preparing("starting")
        from tlsearch.studies.read import StudyReader
        from tlsearch.worker import run_worker

        news.follow({study: StudyReader(study, storage) for study in studies})
        set_threads(threads)
        summary = run_worker(studies, storage, progress=news, **limits)
        news.done("spent" if summary.budget_spent else "limit", summary.why)


def progress_of(*studies: str, storage: str | None) -> TerminalProgress:
    """Return a progress display for a worker on these studies."""
    from tlsearch.studies.read import StudyReader

    progress = TerminalProgress()
    progress.follow({study: StudyReader(study, storage) for study in studies})
    return progress


def set_threads(threads: int | None) -> None:
    """Set how many CPU threads torch uses."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
