"""Commands around measures and prior."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from tlsearch.cli.display import columns, console, print_json
from tlsearch.prior import DISAGREEMENT, density
from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES, Prior, Range
from tlsearch.space import SearchSpace

_BLOCKS = " ▁▂▃▄▅▆▇█"
_CELLS = 16


def show_measures(study: str, storage: str | None, as_json: bool) -> None:
    """Show a study's measures beside the paper's."""
    from tlsearch.report import meaning, measures_rows, notes
    from tlsearch.studies.read import StudyReader

    reader = StudyReader(study, storage)
    measures, prior = reader.measures(), reader.prior_or_none()
    if as_json:
        derived = {
            "fit": measures.fit,
            "fit_error": measures.fit_error,
            "fisher_ratio": measures.fisher_ratio,
            "meaning": meaning(measures, prior),
        }
        print_json(measures.as_dict() | derived)
        return
    console.print("\n".join(columns(measures_rows(measures))))
    for note in notes(measures):
        console.print(note)
    console.print(f"\n{meaning(measures, prior)}")
    if prior is not None:
        console.print(f"(tlsearch prior {shlex.quote(study)} shows where)")


def show_prior(study: str, storage: str | None, picture: Path | None, as_json: bool) -> None:
    """Show a study's prior: where it starts, by which rule, moved by which measure."""
    from tlsearch.studies.read import StudyReader

    reader = StudyReader(study, storage)
    prior = reader.prior()
    space = reader.study.space
    if picture is not None:
        _draw(prior, space, picture)
    if as_json:
        print_json(prior.as_dict())
        return
    console.print("\n".join(prior_lines(prior, space.ranges)))
    if picture is not None:
        console.print(f"drawn into {picture}")


def show_edited(
    study: str, spec: Path, storage: str | None, apply: bool, picture: Path | None, as_json: bool
) -> None:
    """Show what an edited `[prior]` table changes, and keep it if so wanted."""
    from tlsearch.spec import load_spec
    from tlsearch.studies.read import StudyReader
    from tlsearch.studies.steer import edit_prior

    loaded = load_spec(spec)
    edited = edit_prior(study, loaded, storage)
    space = StudyReader(study, storage).study.space
    if picture is not None and edited.after is not None:
        _draw(edited.after, space, picture)
    if apply:  # once nothing can go wrong any more
        edited = edit_prior(study, loaded, storage, apply=True)
    if as_json:
        plain = {
            when: prior.as_dict() if prior is not None else None
            for when, prior in (("before", edited.before), ("after", edited.after))
        }
        print_json({**plain, "applied": apply, "queued": edited.queued})
        return
    if edited.after is None:
        console.print("prior.use = false: the search goes on without a prior")
    else:
        console.print("\n".join(prior_lines(edited.after, space.ranges)))
        console.print("\n".join(["", *_changes(edited.before, edited.after)]))
    if picture is not None and edited.after is not None:
        console.print(f"drawn into {picture}")
    if apply and edited.after is None:
        console.print("kept: no prior from the next trial on; what is queued still runs")
    elif apply:
        console.print("kept: draws follow it from the next trial on; what is queued still runs")
        if edited.queued is not None:
            console.print(f"its mode is trial {edited.queued}")
        else:
            console.print("the budget leaves no room to queue its mode")
    else:
        console.print("nothing is changed yet; --apply keeps it")


def enqueue_trial(study: str, settings: Sequence[str], storage: str | None, as_json: bool) -> None:
    """Queue a trial of the user's own."""
    from tlsearch.studies.steer import enqueue_trial as queue

    number, whole = queue(study, _parsed(settings), storage)
    if as_json:
        print_json({"number": number, "params": whole.as_dict()})
        return
    shown = ", ".join(f"{name} = {value:.4g}" for name, value in whole.as_dict().items())
    console.print(f"trial {number} is queued: {shown}")


def prior_lines(prior: Prior, ranges: Mapping[str, Range]) -> list[str]:
    """Return the prior as lines of text."""
    heading = ["hyperparameter", "mode", "spread", "low", "density", "high", "opposite", "moved by"]
    rows = [heading]
    for name, belief in prior.beliefs.items():
        given = ranges[name]
        unit = "layers" if name in DEPTHS else "decades"
        rows.append(
            [
                name,
                f"{belief.mode:.3g}",
                "fixed" if given.fixed else f"{belief.spread:.2g} {unit}",
                f"{given.low:.3g}",
                _sparkline(prior, name, given),
                f"{given.high:.3g}",
                f"{belief.opposite:.3g}",
                belief.moved_by,
            ]
        )
    rules = [f"  {name:<14} {belief.rule}" for name, belief in prior.beliefs.items()]
    widened = f" and widened by {prior.disagreement:.2f}, as the Fisher score disagrees"
    return [
        *columns(rows),
        "",
        f"weight of the column 'pretrained weights do not fit' (Table 7, right): {prior.unfit:.2f}"
        + (widened if prior.disagreement > DISAGREEMENT else ""),
        f"highest learning rate of use {prior.lr_scale:.2g}: {prior.lr_scale_from}",
        "rules (Plested et al., Table 7):",
        *rules,
    ]


def _sparkline(prior: Prior, name: str, given: Range) -> str:
    """Draw the density over the range in one line."""
    if given.fixed:
        return "-" * _CELLS
    _, heights = density(name, prior.beliefs[name], given, _CELLS)
    return "".join(_BLOCKS[round(8 * float(height))] for height in heights)


def _changes(before: Prior | None, after: Prior) -> list[str]:
    if before is None:
        return ["the study has no prior so far"]
    lines = []
    for name in HYPERPARAMETER_NAMES:
        old, new = before.beliefs[name], after.beliefs[name]
        for what in ("mode", "spread"):
            was, becomes = getattr(old, what), getattr(new, what)
            if was != becomes:
                lines.append(f"changed: {name} {what} {was:.3g} -> {becomes:.3g}")
    return lines or ["changed: nothing"]


def _draw(prior: Prior, space: SearchSpace, path: Path) -> None:
    from tlsearch.report.prior_picture import draw_prior

    draw_prior(prior, space.ranges, space.plain_default().as_dict(), path)


def _parsed(settings: Sequence[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise typer.BadParameter(f"--set {setting}: must be NAME=NUMBER, such as high_lr=0.01")
        values[name.strip()] = number
    return values
