"""`tlsearch finalists`: the best configurations of a study over several seeds."""

import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.logs import LogLevel, set_up_logging
from tlsearch.cli.options import (
    Artifacts,
    DataHere,
    Device,
    Json,
    LogJson,
    LogLevelOption,
    Storage,
    StudyName,
    Threads,
    WeightsHere,
)

if TYPE_CHECKING:
    from tlsearch.studies.finalists import QueuedFinals

GpuHours = Annotated[
    float | None, typer.Option(metavar="H", help="Hours that workers may hold the runs, summed.")
]
QueueOnly = Annotated[
    bool, typer.Option("--queue-only", help="Queue the runs and show what is there; train nothing.")
]


def finalists(
    study: StudyName,
    top: Annotated[
        int | None, typer.Option(metavar="K", help="Distinct configurations; 3 at first.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Trainings of each; 4 at first.")
    ] = None,
    gpu_hours: GpuHours = None,
    queue_only: QueueOnly = False,
    storage: Storage = None,
    device: Device = "auto",
    threads: Threads = None,
    data: DataHere = None,
    weights: WeightsHere = None,
    artifacts: Artifacts = None,
    as_json: Json = False,
    log_level: LogLevelOption = LogLevel.WARNING,
    log_json: LogJson = False,
) -> None:
    """Train the best configurations and both baselines over several seeds, and compare them."""
    from tlsearch.cli.finals_table import finals_as_json, finals_lines
    from tlsearch.studies.finalists import queue_finalists
    from tlsearch.studies.finals import read_finals

    set_up_logging(log_level, log_json)
    if artifacts is not None:
        os.environ["TLSEARCH_ARTIFACTS"] = artifacts
    queued = queue_finalists(study, storage, top=top, seeds=seeds, gpu_hours=gpu_hours)
    if not as_json:
        console.print("\n".join(_queued_lines(queued)))
    if not queue_only:
        run_member(queued.study, storage, device, threads, data, weights, quiet=as_json)
    found = read_finals(study, storage)
    assert found is not None, "they were queued"
    if as_json:
        print_json(finals_as_json(found))
    else:
        console.print("\n".join(finals_lines(found)))


def _queued_lines(queued: "QueuedFinals") -> list[str]:
    names = ", ".join(each.name for each in queued.plan.candidates)
    did = "is created" if queued.created else "goes on"
    lines = [
        f"study {queued.study!r} {did}: {names} and two baselines, "
        f"{len(queued.plan.seeds)} seeds, {queued.plan.n_planned} runs",
        f"other workers take part with: tlsearch worker {shlex.quote(queued.study)}",
    ]
    if queued.later > 0:
        lines.append(
            f"{queued.later} trials of the search were completed after the finalists were chosen; "
            f"the finalists stay, and a larger --top adds the next best"
        )
    return lines


def run_member(
    study: str,
    storage: str | None,
    device: str,
    threads: int | None,
    data: str | None,
    weights: str | None,
    *,
    quiet: bool,
) -> None:
    """Run a worker of this process on a study of a family, unless all of its runs ended."""
    from tlsearch.studies.read import StudyReader

    if StudyReader(study, storage).status().controls.verdict == "done":
        return
    from tlsearch.cli.single import WorkerOptions, following, set_threads

    set_threads(threads)
    options = WorkerOptions([study], storage, device, None, None, data, weights)
    if quiet:
        options.run()
        return
    with following([study], storage) as progress:
        try:
            summary = options.run(progress)
        except KeyboardInterrupt:
            console.print("interrupted: run the same command again to go on")
            raise typer.Exit(130) from None
    console.print(f"trials run: {len(summary.trials)}; {summary.why}")
