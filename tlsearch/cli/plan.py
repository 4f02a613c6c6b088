"""`tlsearch plan`: what a study costs, and what fits a budget of time."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.options import Device, Json, SpecPath, Storage

if TYPE_CHECKING:
    from tlsearch.spec import StudySpec
    from tlsearch.studies.plan import Plan


def plan(
    spec: SpecPath,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Minutes that the workers have.")
    ] = None,
    gpu_hours: Annotated[
        float | None,
        typer.Option(
            metavar="H", help="Hours of all workers, added up. Default: budget.gpu_hours."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Workers, each on a device as fast as this one.")
    ] = 1,
    sizes: Annotated[
        str | None,
        typer.Option(metavar="64,96", help="Image sizes to look at. Default: around the spec's."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the spec with the proposed values; keeps comments."
        ),
    ] = None,
    device: Device = "auto",
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Say what a study costs, measured; propose image size, epochs and trials for a time."""
    from tlsearch.cli.plan_table import plan_as_json, plan_lines
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.spec import load_spec

    hours = _hours(minutes, gpu_hours, workers)
    wanted = [] if sizes is None else _sizes(sizes)
    loaded = load_spec(spec)
    options: dict[str, Any] = {"gpu_hours": hours, "workers": workers, "sizes": wanted}
    options |= {"device": device, "storage": storage}
    if as_json:
        found = _plan(loaded, options)
        print_json(plan_as_json(found))
    else:
        with TerminalProgress() as progress:
            progress.preparing("starting")
            found = _plan(loaded, options | {"say": progress.measuring})
        console.print("\n".join(plan_lines(found)))
    if write is not None:
        _write(found, spec, write)
        if not as_json:
            console.print(f"written: {write}")


def _plan(spec: "StudySpec", options: Mapping[str, Any]) -> "Plan":
    from tlsearch.studies.plan import plan_study  # loads torch, which takes a while

    return plan_study(spec, **options)


def _hours(minutes: float | None, gpu_hours: float | None, workers: int) -> float | None:
    if minutes is not None and gpu_hours is not None:
        raise typer.BadParameter("give --minutes or --gpu-hours, not both")
    given = {"--minutes": minutes, "--gpu-hours": gpu_hours}
    for option, number in given.items():
        if number is not None and not 0 < number < float("inf"):
            raise typer.BadParameter(f"{option} {number:g}: must be above 0")
    return minutes * workers / 60 if minutes is not None else gpu_hours


def _sizes(text: str) -> list[int]:
    try:
        found = [int(size) for size in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(16 <= size <= 1024 for size in found):
        raise typer.BadParameter(
            f"--sizes {text!r}: give pixels from 16 to 1024, such as 64,96,128"
        )
    return found


def _write(plan: "Plan", source: Path, target: Path) -> None:
    from tlsearch.errors import InputError
    from tlsearch.spec.rewrite import rewrite_spec

    chosen = plan.chosen
    if plan.seconds is None or chosen is None:
        if plan.seconds is None:
            raise InputError(f"{target} is not written: there is no budget; give --minutes")
        raise InputError(f"{target} is not written: nothing fits into the budget")
    values = {
        "recipe.image_size": chosen.image_size,
        "recipe.epochs": chosen.epochs,
        "budget.trials": chosen.trials,
        "budget.gpu_hours": round(plan.seconds / 3600, 6),
    }
    rewrite_spec(source, target, values)
