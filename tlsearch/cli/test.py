"""`tlsearch test`: what the finalists reach on the test images, measured once."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from tlsearch.records.tested import TestResult


class TrainedOn(StrEnum):
    """What the tested models are trained on."""

    TRAIN = "train"
    TRAIN_VAL = "train+val"


def test(
    study: StudyName,
    train_on: Annotated[
        TrainedOn | None,
        typer.Option(help="What the tested models are trained on. Default: final.train_on."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Look at the test images once more; it is recorded as another look."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write most_wrong.png, predictions.csv and test.json there."
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    data: DataHere = None,
    weights: WeightsHere = None,
    artifacts: Artifacts = None,
    storage: Storage = None,
    as_json: Json = False,
    log_level: LogLevelOption = LogLevel.WARNING,
    log_json: LogJson = False,
) -> None:
    """Test the finalists on the test images, once, or show what that gave."""
    from tlsearch.studies.test_files import check_folder
    from tlsearch.studies.tested import read_tests

    set_up_logging(log_level, log_json)
    if out is not None:
        check_folder(out)
    found = read_tests(study, storage)
    if again or not found:
        options: dict[str, Any] = {"again": again, "device": device, "data_path": data}
        options |= {"weights": weights, "artifacts": artifacts}
        options |= {"train_on": None if train_on is None else train_on.value}
        shown = _test(study, storage, options, threads, as_json, len(found))
        found = read_tests(study, storage)
    else:
        shown = found[0]
    if as_json:
        print_json([result.as_dict() for result in found])
    else:
        _show(shown, found)
    if out is not None:
        _write(shown, out, storage, artifacts, as_json)


def _test(
    study: str,
    storage: str | None,
    options: dict[str, Any],
    threads: int | None,
    as_json: bool,
    n_looks: int,
) -> "TestResult":
    from tlsearch.cli.single import set_threads
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.studies.test_study import test_study  # loads torch, which takes a while

    set_threads(threads)
    if as_json:
        return test_study(study, storage, **options)
    with TerminalProgress() as progress:
        progress.preparing("starting")
        try:
            return test_study(study, storage, progress=progress, **options)
        except KeyboardInterrupt:
            console.print(_interrupted(study, storage, n_looks))
            raise typer.Exit(130) from None


def _interrupted(study: str, storage: str | None, n_looks: int) -> str:
    """Say what is left; the look may have been recorded in the last moment."""
    from tlsearch.studies.tested import read_tests

    if len(read_tests(study, storage)) > n_looks:
        return f"interrupted, but the look is recorded: tlsearch test {shlex.quote(study)} shows it"
    return "interrupted: nothing was recorded; what was trained is kept"


def _show(shown: "TestResult", found: list["TestResult"]) -> None:
    from tlsearch.cli.test_table import later_line, result_lines

    lines = result_lines(shown)
    if shown.is_first:
        lines += [later_line(result) for result in found if not result.is_first]
    console.print("\n".join(lines))


def _write(
    shown: "TestResult", out: Path, storage: str | None, artifacts: str | None, as_json: bool
) -> None:
    from tlsearch.studies.test_files import write_files

    written, missing = write_files(shown, out, storage, artifacts)
    if as_json:
        return
    console.print(f"written: {', '.join(map(str, written))}")
    if missing:
        console.print(f"not kept of look {shown.look}: {', '.join(missing)}")
