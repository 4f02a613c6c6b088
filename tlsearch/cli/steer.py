"""`tlsearch enqueue`, `pause`, `resume`, `stop`, `budget`, `delete`: steering a running study."""

import math
import sys
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Annotated, Any

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.options import Artifacts, Json, Storage, StudyName
from tlsearch.records import Controls
from tlsearch.report.budget import budget_sentence, pace_sentence

_NONE = "none"


def enqueue(
    study: StudyName,
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=NUMBER", help="A hyperparameter; may be repeated."),
    ],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Queue a trial of your own; what is not set takes the plain default's value."""
    from tlsearch.studies.steer import enqueue_trial

    number, whole = enqueue_trial(study, _parsed(settings), storage)
    if as_json:
        print_json({"number": number, "params": whole.as_dict()})
        return
    values = ", ".join(f"{name} = {value:.4g}" for name, value in whole.as_dict().items())
    console.print(f"trial {number} is queued: {values}")


def pause(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Make workers release their trials, with checkpoints, and wait for resume."""
    from tlsearch.studies.steer import pause_study

    _show(study, pause_study(study, storage), as_json)


def resume(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Let workers continue a study that was paused or stopped."""
    from tlsearch.studies.steer import resume_study

    _show(study, resume_study(study, storage), as_json)


def stop(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Make workers release their trials, with checkpoints, and exit."""
    from tlsearch.studies.steer import stop_study

    _show(study, stop_study(study, storage), as_json)


def budget(
    study: StudyName,
    trials: Annotated[
        str | None, typer.Option(metavar="N", help="Trials that may run in total.")
    ] = None,
    gpu_hours: Annotated[
        str | None,
        typer.Option(metavar="H", help="Hours that workers hold trials, summed; none = no limit."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="2026-12-24T18:00, in this machine's zone unless it names one; 2026-12-24 = the "
            "end of that day; none = no limit.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="ACC", help="Validation accuracy that ends the study: 0.9; none = no target."
        ),
    ] = None,
    patience: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Trials in a row without gain that end it; none = no limit."
        ),
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show a study's budget, or change it; running workers see it within an epoch."""
    from tlsearch.studies.read import StudyReader
    from tlsearch.studies.steer import set_budget

    changes: dict[str, Any] = {}
    given = {"trials": trials, "gpu_hours": gpu_hours}
    given |= {"target_accuracy": target, "patience_trials": patience}
    for name, text in given.items():
        if text is not None:
            changes[name] = _number(name, text, int if name.endswith("trials") else float)
    if until is not None:
        changes["until"] = None if until == _NONE else _time(until)
    if changes:
        _show(study, set_budget(study, changes, storage), as_json)
    else:
        status = StudyReader(study, storage).status()
        _show(study, status.controls, as_json)
        if not as_json and (pace := pace_sentence(status)):
            console.print(f"  {pace}")


def delete(
    study: StudyName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    storage: Storage = None,
    artifacts: Artifacts = None,
    as_json: Json = False,
) -> None:
    """Delete a study with its trials, measures and files; its workers stop."""
    from tlsearch.studies.read import StudyReader
    from tlsearch.studies.steer import delete_study

    if not yes:
        n_trials = sum(StudyReader(study, storage).status().counts.values())
        if not sys.stdin.isatty():
            raise typer.BadParameter(f"deleting study {study!r} cannot be undone: give --yes")
        typer.confirm(f"delete study {study!r} with its {n_trials} trials for good?", abort=True)
    deleted = delete_study(study, storage, artifacts=artifacts)
    if as_json:
        print_json(
            {"name": study, "trials": deleted.n_trials, "files_removed": deleted.n_files}
            | {"files_left_because": deleted.problem}
        )
        return
    console.print(
        f"study {study!r} is deleted: {deleted.n_trials} trials, {deleted.n_files} files removed"
    )
    if deleted.problem:
        console.print(f"  files may be left: {deleted.problem}")


def _parsed(settings: Sequence[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        name = name.strip()
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise typer.BadParameter(f"--set {setting}: must be NAME=NUMBER, such as high_lr=0.01")
        if name in values:
            raise typer.BadParameter(f"--set {setting}: {name} is set twice; give it once")
        values[name] = number
    return values


def _number(name: str, text: str, kind: type[int] | type[float]) -> float | None:
    if text == _NONE:
        return None
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        option = {"target_accuracy": "target", "patience_trials": "patience"}.get(name, name)
        or_none = "" if name == "trials" else ", or none"
        raise typer.BadParameter(
            f"--{option.replace('_', '-')} {text!r}: give {what}{or_none}"
        ) from None


def _time(text: str) -> datetime:
    try:
        return _moment(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"--until {text!r}: give a time such as 2026-12-24T18:00 or 2026-12-24T18:00+01:00"
        ) from None


def _moment(text: str) -> datetime:
    """Read a time; of a day without one it is the last second."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime.combine(day, time(23, 59, 59))


def _show(study: str, controls: Controls, as_json: bool) -> None:
    if as_json:
        print_json(controls_as_json(controls))
        return
    console.print(f"{study}: {controls.state}" + (f" ({controls.why})" if controls.why else ""))
    console.print("  " + budget_sentence(controls, used=True))


def controls_as_json(controls: Controls) -> dict[str, Any]:
    """Return what steers a study as plain values."""
    return {
        "state": controls.state,
        "trials": controls.trials,
        "gpu_hours": controls.gpu_hours,
        "gpu_hours_used": round(controls.gpu_hours_used, 6),
        "until": controls.until.isoformat() if controls.until else None,
        "target_accuracy": controls.target_accuracy,
        "patience_trials": controls.patience_trials,
        "over": controls.over,
        "why": controls.why,
    }
