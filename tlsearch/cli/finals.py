"""`tlsearch finalists`: the best configurations of a study over several seeds."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.logs import LogLevel, set_up_logging
from tlsearch.cli.options import (
    Artifacts,
    DataHere,
    Device,
    GpuHours,
    Json,
    LogJson,
    LogLevelOption,
    QueueOnly,
    Storage,
    StudyName,
    Threads,
    WeightsHere,
)

if TYPE_CHECKING:
    from tlsearch.cli.single import WorkerOptions
    from tlsearch.studies.finalists import QueuedFinals


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
    from tlsearch.cli.single import WorkerOptions
    from tlsearch.studies.finalists import queue_finalists
    from tlsearch.studies.finals import read_finals

    set_up_logging(log_level, log_json)
    queued = queue_finalists(study, storage, top=top, seeds=seeds, gpu_hours=gpu_hours)
    if not as_json:
        console.print("\n".join(_queued_lines(queued)))
    if not queue_only:
        options = (device, None, None, data, weights, artifacts)
        run_member(WorkerOptions([queued.study], storage, *options), threads, quiet=as_json)
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


def run_member(options: "WorkerOptions", threads: int | None, *, quiet: bool) -> None:
    """Run a worker of this process on a study of a family, unless all of its runs ended."""
    from tlsearch.cli.single import following, set_threads
    from tlsearch.studies.read import StudyReader

    (study,) = options.studies
    if StudyReader(study, options.storage).status().controls.verdict == "done":
        return
    set_threads(threads)
    if quiet:
        options.run()
        return
    with following([study], options.storage) as progress:
        try:
            summary = options.run(progress)
        except KeyboardInterrupt:
            console.print("interrupted: run the same command again to go on")
            raise typer.Exit(130) from None
    console.print(f"trials run: {len(summary.trials)}; {summary.why}")
