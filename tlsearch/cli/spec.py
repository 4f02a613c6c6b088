"""`tlsearch create`, `check` and `layers`: a study's spec, its images and its network."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlsearch.cli.clean import clean
from tlsearch.cli.data_table import (
    class_lines,
    images_text,
    left_out_lines,
    look_lines,
    passed_lines,
    several_labels_lines,
)
from tlsearch.cli.display import console, print_json
from tlsearch.cli.options import Json, SpecPath, Storage

if TYPE_CHECKING:
    from tlsearch.spec import StudySpec
    from tlsearch.studies.checked_study import CheckedStudy


def create(
    spec: Annotated[
        Path | None, typer.Argument(metavar="[SPEC.toml]", help="Study spec, or give --from.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--from", metavar="STUDY", help="A study like this one, but for --set."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="With --from: a key of the spec; may be repeated."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            help="Minutes that workers may hold trials, added up; instead of budget.gpu_hours.",
        ),
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Create a study from its spec, or say that it exists."""
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.studies.create import create_study

    loaded = _spec_of(spec, like, settings or [], storage)
    if minutes is not None:
        loaded = _with_minutes(loaded, minutes)
    found: list[CheckedStudy] = []
    if as_json:
        study, created = create_study(loaded, storage, on_checked=found.append)
    else:
        with TerminalProgress() as progress:
            study, created = create_study(loaded, storage, progress, on_checked=found.append)
    if as_json:
        print_json({"name": study.name, "created": created, "spec_hash": study.spec_hash})
        return
    did = "created" if created else "exists with this very spec; nothing changed"
    console.print(f"study {study.name!r} {did} (spec {study.spec_hash[:12]})")
    for line in (line for checked in found for line in _image_lines(checked)):
        console.print(line)
    console.print(f"run trials with: tlsearch worker {shlex.quote(study.name)}")
    if storage is None and loaded.storage is not None:
        console.print("the spec names its database: give other commands --storage as well")


def _spec_of(
    path: Path | None, like: str | None, settings: Sequence[str], storage: str | None
) -> "StudySpec":
    """Return the spec in a file, or that of a study with some keys changed."""
    if (path is None) == (like is None):
        raise typer.BadParameter("give a spec (a TOML file), or --from STUDY with --set KEY=VALUE")
    if path is not None:
        if settings:
            raise typer.BadParameter("--set needs --from STUDY; in a spec edit the file")
        from tlsearch.spec import load_spec

        return load_spec(path)
    from tlsearch.studies.derive import derive_spec

    values: dict[str, str] = {}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not (key and equals and value):
            raise typer.BadParameter(
                f"--set {setting}: must be KEY=VALUE, such as recipe.epochs=30"
            )
        if key in values:
            raise typer.BadParameter(f"--set {setting}: {key} is set twice; give it once")
        values[key] = value
    if not values:
        raise typer.BadParameter("--from needs what is to differ: --set recipe.image_size=128")
    return derive_spec(like or "", values, storage)


def _with_minutes(spec: "StudySpec", minutes: float) -> "StudySpec":
    if not 0 < minutes < float("inf"):
        raise typer.BadParameter(f"--minutes {minutes:g}: must be above 0")
    budget = spec.budget.model_copy(update={"gpu_hours": minutes / 60})
    return spec.model_copy(update={"budget": budget})


def check(
    spec: SpecPath,
    write_manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Writes a manifest of the images that can be read, and checks nothing else.",
        ),
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--drop-duplicates", help="With --write-manifest: without images that are there twice."
        ),
    ] = False,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Draws images of each class as the network sees them."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Validate a spec, its images and its network without training."""
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.spec import load_spec
    from tlsearch.studies.create import check_study

    loaded = load_spec(spec)
    if write_manifest is not None:
        if samples is not None:
            raise typer.BadParameter("--samples and --write-manifest are two commands; give one")
        return clean(loaded, write_manifest, drop_duplicates, as_json)
    if drop_duplicates:
        raise typer.BadParameter("--drop-duplicates needs --write-manifest FILE.csv")
    if as_json:
        checked = check_study(loaded)
        print_json(_as_json(checked))
    else:
        with TerminalProgress() as progress:
            checked = check_study(loaded, progress)
        console.print("\n".join(_lines(checked)))
    if samples is not None:
        _draw(checked, samples, as_json)
    return None


def _draw(checked: "CheckedStudy", path: Path, as_json: bool) -> None:
    from tlsearch.studies.look_at_images import draw_samples

    draw_samples(checked, path)
    if not as_json:
        console.print(f"drawn into {path}")


def _as_json(checked: "CheckedStudy") -> dict[str, object]:
    from tlsearch.spec import spec_hash
    from tlsearch.studies.findings import decoded_memory, notes
    from tlsearch.studies.look_at_images import channels, sides

    catalog = checked.catalog
    return {
        "name": checked.spec.name,
        "spec_hash": spec_hash(checked.spec),
        "classes": list(catalog.class_names),
        "n_train": len(catalog.train),
        "n_val": catalog.n_validated,
        "folds": catalog.fold_sizes(),
        "n_test": len(catalog.test),
        "multi_label": catalog.multi_label,
        "class_counts": {name: list(counts) for name, counts in catalog.counts().items()},
        "ignored_files": list(catalog.ignored),
        "passed_over": {
            each.kind.many: {"files": each.n_files, "names": list(each.names)}
            for each in catalog.passed
        },
        "left_out": [{"name": name, "reason": image.reason} for name, image in checked.left_out],
        "shorter_sides": dict(zip(("least", "median", "most"), sides(checked), strict=True)),
        "channels": {split: asdict(found) for split, found in channels(checked).items()},
        "memory_bytes": decoded_memory(checked),
        "notes": notes(checked),
        "copies": [copy.as_dict() for copy in checked.copies],
        "space": checked.space.as_dict(),
    }


def _lines(checked: "CheckedStudy") -> list[str]:
    from tlsearch.data import as_text
    from tlsearch.spec import spec_hash
    from tlsearch.studies.findings import decoded_memory, notes, steps_text
    from tlsearch.studies.look_at_images import channels, sides

    catalog, space = checked.catalog, checked.space
    readable = "" if checked.left_out else "; all readable"
    lines = [
        f"spec      {checked.spec.name!r} is valid (spec {spec_hash(checked.spec)[:12]})",
        f"images    {len(catalog.class_names)} classes; {images_text(catalog)}{readable}",
        *left_out_lines(checked.left_out),
    ]
    lines += [*class_lines(catalog), *passed_lines(catalog.passed)]
    lines += several_labels_lines(catalog)
    lines += look_lines(sides(checked), channels(checked), checked.backbone.statistics)
    memory = as_text(decoded_memory(checked))
    lines += [
        f"memory    {memory} for the decoded images, on the device of each worker",
        f"network   {checked.backbone.name}: {space.n_body_layers} body layers and the classifier",
        f"steps     {steps_text(checked)}",
    ]
    for name, given in space.ranges.items():
        values = f"{given.low:g} (fixed)" if given.fixed else f"{given.low:g} to {given.high:g}"
        lines.append(f"search    {name:<14} {values}")
    return lines + [f"note      {note}" for note in notes(checked)]


def _image_lines(checked: "CheckedStudy") -> list[str]:
    from tlsearch.studies.findings import notes

    lines = [*class_lines(checked.catalog), *passed_lines(checked.catalog.passed)]
    lines += several_labels_lines(checked.catalog)
    lines += left_out_lines(checked.left_out)
    return [line.strip() for line in lines] + [f"note: {note}" for note in notes(checked)]


def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="timm model name.")],
    as_json: Json = False,
) -> None:
    """List a network's layers from the input, as the hyperparameters count them."""
    import torch

    from tlsearch.backbones import build, layers_of

    with torch.device("meta"):  # names and sizes are enough
        found = layers_of(build(model, n_classes=1000, seed=0), model)
    if as_json:
        print_json(
            [
                {
                    "index": layer.index,
                    "name": layer.name,
                    "parameters": layer.n_parameters,
                    "classifier": layer.is_classifier,
                    "order": found.order,
                }
                for layer in found.layers
            ]
        )
        return
    for layer in found.layers:
        role = "  classifier (1000 classes)" if layer.is_classifier else ""
        console.print(f"{layer.index:>4}  {layer.n_parameters:>12,}  {layer.name}{role}")
    console.print(f"{found.n_body} body layers and the classifier; {_ORDERS[found.order]}")
    if (most := found.heaviest) is not None:
        share = most.n_parameters / sum(layer.n_parameters for layer in found.layers[:-1])
        console.print(
            f"note: layer {most.index} has {share:.0%} of the body's parameters, so whether it is "
            "kept or random decides more than the depths say"
        )


_ORDERS = {
    "group_matcher": "the order is the one that timm declares (group_matcher)",
    "feature_info": "timm declares no order; this is the order of the modules, and the stages of "
    "timm's feature_info come in it",
    "modules": "timm declares no order; this is the order of the modules",
}
