"""`tlsearch worker` and `measure`: what runs trials."""

import os
import sys
from typing import Annotated

import typer

from tlsearch.cli.display import console
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
    StudyNames,
    Threads,
    WeightsHere,
)


def worker(
    studies: StudyNames,
    storage: Storage = None,
    device: Device = "auto",
    gpus: Annotated[
        str | None,
        typer.Option(metavar="all|N,N", help="A process on each of these CUDA devices."),
    ] = None,
    per_gpu: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="With --gpus: K processes on each.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="N processes on the CPU, or on --device."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Run at most N trials in a process, then exit."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Start no trial after S seconds.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="CPU threads of a process; default: its share."),
    ] = None,
    data: DataHere = None,
    weights: WeightsHere = None,
    artifacts: Artifacts = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print no progress, but at the end JSON of what was run."),
    ] = False,
    log_level: LogLevelOption = LogLevel.WARNING,
    log_json: LogJson = False,
    json_progress: Annotated[bool, typer.Option("--json-progress", hidden=True)] = False,
    news: Annotated[bool, typer.Option("--news", hidden=True)] = False,
) -> None:
    """Claim and run trials of studies until their budgets are spent."""
    from tlsearch.cli.several import SlotOptions, run_several, threads_of_each
    from tlsearch.cli.single import (
        WorkerOptions,
        run_for_launcher,
        run_for_people,
        run_for_scripts,
        set_threads,
    )
    from tlsearch.launcher import WorkerCommand

    set_up_logging(log_level, log_json)
    studies = list(dict.fromkeys(studies))
    if artifacts is not None:
        os.environ["TLSEARCH_ARTIFACTS"] = artifacts  # the launcher's processes inherit it
    slot_options = SlotOptions(gpus, per_gpu, processes, device)
    if slot_options.wanted:
        slots = slot_options.slots()
        command = WorkerCommand(
            studies=studies,
            threads=threads_of_each(slots, threads),
            storage=storage,
            max_trials=trials,
            timeout_seconds=timeout,
            data_path=data,
            weights=weights,
            log_level=log_level.value,
            log_json=log_json,
        )
        raise typer.Exit(run_several(slots, command, as_json))
    options = WorkerOptions(studies, storage, device, trials, timeout, data, weights)
    if news:
        sys.stderr.write("note: --news is now called --json-progress\n")
    if json_progress or news:
        run_for_launcher(options, threads)
        return
    set_threads(threads)
    if as_json:
        run_for_scripts(options)
    else:
        run_for_people(options)


def measure(
    study: StudyName,
    storage: Storage = None,
    device: Device = "auto",
    threads: Threads = None,
    data: DataHere = None,
    weights: WeightsHere = None,
    as_json: Json = False,
    log_level: LogLevelOption = LogLevel.WARNING,
    log_json: LogJson = False,
) -> None:
    """Measure how well the pretrained weights fit the images, unless that is done."""
    from tlsearch.cli.prior import show_measures
    from tlsearch.cli.single import following, set_threads
    from tlsearch.worker import measure_study

    set_up_logging(log_level, log_json)
    set_threads(threads)
    if as_json:
        measure_study(study, storage, device=device, data_path=data, weights=weights)
    else:
        with following([study], storage) as progress:
            try:
                measure_study(
                    study,
                    storage,
                    device=device,
                    data_path=data,
                    weights=weights,
                    progress=progress,
                )
            except KeyboardInterrupt:
                console.print("interrupted: the measuring goes on when the command runs again")
                raise typer.Exit(130) from None
    show_measures(study, storage, as_json)
