"""`tlsearch backbones`: chooses a study's network and image size among candidates."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.logs import LogLevel, set_up_logging
from tlsearch.cli.options import (
    Artifacts,
    Device,
    Json,
    LogJson,
    LogLevelOption,
    SpecPath,
    Storage,
    Threads,
)

if TYPE_CHECKING:
    from tlsearch.studies.backbone_choice import BackboneChoice


def backbones(
    spec: SpecPath,
    top: Annotated[
        int | None, typer.Option(metavar="K", help="Candidates that are trained; 2 at first.")
    ] = None,
    imagenet: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="timm's results-imagenet.csv: its top1 is shown beside."),
    ] = None,
    queue_only: Annotated[
        bool, typer.Option("--queue-only", help="Compare and create studies; train nothing.")
    ] = False,
    storage: Storage = None,
    device: Device = "auto",
    threads: Threads = None,
    artifacts: Artifacts = None,
    as_json: Json = False,
    log_level: LogLevelOption = LogLevel.WARNING,
    log_json: LogJson = False,
) -> None:
    """Choose the network and image size: fixed features of each, trials of a few, search of one."""
    from tlsearch.cli.backbones_table import choice_as_json, next_lines, screened_lines
    from tlsearch.cli.single import WorkerOptions, run_for_people, set_threads
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.spec import load_spec
    from tlsearch.studies.backbone_choice import choose_backbone
    from tlsearch.studies.backbone_screen import read_imagenet
    from tlsearch.worker.progress import SilentProgress

    set_up_logging(log_level, log_json)
    set_threads(threads)
    if artifacts is not None:
        os.environ["TLSEARCH_ARTIFACTS"] = artifacts  # creating a study may measure it
    loaded = load_spec(spec)
    accuracies = {} if imagenet is None else read_imagenet(imagenet)

    def step() -> "BackboneChoice":
        with nullcontext(SilentProgress()) if as_json else TerminalProgress() as progress:
            return choose_backbone(
                loaded,
                storage,
                top=top,
                device=device,
                imagenet=accuracies,
                say=progress.measuring,
            )

    choice = step()
    if not as_json:
        console.print("\n".join(screened_lines(choice)))
    while choice.step != "done" and not queue_only:
        options = WorkerOptions(choice.studies, storage, device, None, None, None, None)
        if as_json:
            options.run()
        else:
            console.print("\n".join(next_lines(choice)))
            run_for_people(options)
        before, choice = choice, step()
        if (choice.step, choice.studies) == (before.step, before.studies):
            break  # they are paused or stopped
    if as_json:
        print_json(choice_as_json(choice))
    else:
        console.print("\n".join(next_lines(choice)))
