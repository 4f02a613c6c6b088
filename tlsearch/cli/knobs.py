"""`tlsearch knobs`: which knob of a study's winner paid."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.finals import run_member
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
    from tlsearch.studies.queue_knobs import QueuedKnobs


def knobs(
    study: StudyName,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Trainings of each; 3 at first.")
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
    """Train from the plain default to the winner one knob at a time, and back: which one paid."""
    from tlsearch.cli.knobs_table import knobs_as_json, knobs_lines
    from tlsearch.cli.single import WorkerOptions
    from tlsearch.studies.knobs import read_knobs
    from tlsearch.studies.queue_knobs import queue_knobs

    set_up_logging(log_level, log_json)
    queued = queue_knobs(study, storage, seeds=seeds, gpu_hours=gpu_hours)
    if not as_json:
        console.print("\n".join(_queued_lines(queued)))
    if not queue_only:
        options = (device, None, None, data, weights, artifacts)
        run_member(WorkerOptions([queued.study], storage, *options), threads, quiet=as_json)
    found = read_knobs(study, storage)
    assert found is not None, "they were queued"
    if as_json:
        print_json(knobs_as_json(found))
    else:
        console.print("\n".join(knobs_lines(found)))


def _queued_lines(queued: "QueuedKnobs") -> list[str]:
    plan = queued.plan
    did = "is created" if queued.created else "goes on"
    lines = [
        f"study {queued.study!r} {did}: from the plain default to {plan.winner_name}, "
        f"knobs that differ: {len(plan.differing)}, {len(plan.seeds)} seeds, "
        f"{len(plan.runs())} runs",
        f"other workers take part with: tlsearch worker {shlex.quote(queued.study)}",
    ]
    if queued.winner_now != plan.winner_name:
        lines.append(
            f"the winner is {queued.winner_now} by now; to have its knobs told delete this study "
            f"first: tlsearch delete {shlex.quote(queued.study)}"
        )
    return lines
