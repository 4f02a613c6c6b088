"""`tlsearch export`: the model of a study as a folder to take home."""

import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.options import Artifacts, DataHere, Json, Storage, StudyName
from tlsearch.records.format import percent

if TYPE_CHECKING:
    from tlsearch.export import ExportedModel


def export(
    study: StudyName,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where it goes: a new or empty folder.")
    ],
    trial: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="A trial whose model is kept."),
    ] = None,
    answer: Annotated[
        bool, typer.Option("--answer", help="The recommended answer of the search.")
    ] = False,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Write model.onnx too, compared with torch on the images."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export of the same study.")
    ] = False,
    base_model: Annotated[
        str | None,
        typer.Option(
            "--base-model", metavar="NAME", help="Name of the weights on the hub, for the card."
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", "--license", metavar="NAME", help="Their licence: apache-2.0, say."
        ),
    ] = None,
    artifacts: Artifacts = None,
    data: DataHere = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write the model of a study into a folder that timm and `tlsearch predict` load."""
    if answer and trial is not None:
        raise typer.BadParameter("give --trial or --answer, not both")
    options: dict[str, Any] = {"trial": trial, "answer": answer, "onnx": onnx, "force": force}
    options |= {"base_model": base_model, "licence": licence}
    options |= {"artifacts": artifacts, "data": data, "storage": storage}
    if as_json:
        print_json(_as_json(_export(study, out, options, lambda _: None)))
        return
    from tlsearch.cli.terminal_progress import TerminalProgress

    with TerminalProgress() as progress:
        found = _export(study, out, options, progress.preparing)
    console.print("\n".join(_lines(found)))


def _export(
    study: str, out: Path, options: dict[str, Any], say: Callable[[str], None]
) -> "ExportedModel":
    from tlsearch.export import export_study  # loads torch, which takes a while

    return export_study(study, out, say=say, **options)


def _as_json(found: "ExportedModel") -> dict[str, Any]:
    exported, checked = found.exported, found.checked
    return {
        "folder": str(found.folder),
        "study": exported.study,
        "kind": exported.kind,
        "trials": [{"study": m.study, "trial": m.trial} for m in exported.members],
        "files": sorted(exported.files),
        "val_accuracy": exported.val_accuracy,
        "n_val": exported.n_val,
        "checked_right": checked.n_right if checked else None,
        "checked_val_accuracy": checked.accuracy if checked else None,
        "checked_mean_average_precision": checked.mean_average_precision if checked else None,
        "not_checked": found.not_checked,
        "onnx_difference": found.onnx_difference,
        "licence": found.licence,
        "plain_timm": found.timm and asdict(found.timm),
    }


def _lines(found: "ExportedModel") -> list[str]:
    exported, place = found.exported, shlex.quote(str(found.folder))
    trials = " and ".join(f"trial {each.trial}" for each in exported.members)
    what = f"the mean of {trials}" if exported.kind == "mean" else trials
    lines = [f"exported to {found.folder}: {what} of study {exported.members[0].study}"]
    several = " (all labels right)" if exported.several_labels else ""
    reported = percent(exported.val_accuracy)
    lines.append(f"  validation accuracy{several} that the study reports: {reported}")
    if found.checked is not None:
        right, n = found.checked.n_right, found.checked.n_val
        share = percent(found.checked.accuracy)
        lines.append(f"  by the exported files, here: {right} of {n} right, {share}")
        if found.checked.mean_average_precision is not None:
            precision = percent(found.checked.mean_average_precision)
            lines.append(f"  and a mean average precision of {precision}")
    else:
        lines.append(f"  not predicted again: {found.not_checked}")
    if found.onnx_difference is not None:
        difference = f"{found.onnx_difference:.1g}"
        lines.append(f"  ONNX and torch differ by {difference} in probabilities at most")
    if found.timm is not None:
        lines.append(f"  {found.timm.text}")
        if found.timm.n_otherwise:
            lines.append("  README.md says how to open such images for timm")
    todo = f"check the licence ({found.licence})" if found.licence else "fill in the licence"
    lines.append(f"  README.md is a model card: read it, and {todo}")
    return [*lines, "next:", f"  tlsearch predict {place} photo.jpg"]
