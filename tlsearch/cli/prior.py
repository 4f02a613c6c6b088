"""`tlsearch measures` and `prior`: what was measured, and where the search starts."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlsearch.cli.display import columns, console, print_json
from tlsearch.cli.options import Json, Storage, StudyName
from tlsearch.records import Prior, size_sentence

if TYPE_CHECKING:
    from tlsearch.space import SearchSpace
    from tlsearch.studies.edit_prior import EditedPrior


def measures(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Show a study's measures beside those of the paper's data sets."""
    show_measures(study, storage, as_json)


def prior(
    study: StudyName,
    storage: Storage = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it into a .png, .svg or .pdf file.")
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            metavar="SPEC.toml", help="Show what the prior table of this spec would change."
        ),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="With --spec: keep it.")] = False,
    as_json: Json = False,
) -> None:
    """Show where the search starts, and which rule and measure say so."""
    if spec is not None:
        show_edited(study, spec, storage, apply, picture, as_json)
        return
    if apply:
        raise typer.BadParameter("--apply needs --spec SPEC.toml, whose [prior] table it keeps")
    show_prior(study, storage, picture, as_json)


def show_measures(study: str, storage: str | None, as_json: bool) -> None:
    """Show a study's measures beside the paper's."""
    from tlsearch.report.measures_table import footnotes, meaning, measures_rows
    from tlsearch.studies.read import StudyReader

    reader = StudyReader(study, storage)
    found, prior = reader.measures(), reader.prior_or_none()
    if as_json:
        derived = {
            "fit": found.fit,
            "fit_error": found.fit_error,
            "fisher_ratio": found.fisher_ratio,
            "meaning": meaning(found, prior),
            "size_meaning": size_sentence(
                found.sizes, reader.study.spec.recipe.for_evaluation().image_size
            ),
        }
        print_json(found.as_dict() | derived)
        return
    console.print("\n".join(columns(measures_rows(found))))
    for line in footnotes(found):
        console.print(line)
    console.print(f"\n{meaning(found, prior)}")
    if size := size_sentence(found.sizes, reader.study.spec.recipe.for_evaluation().image_size):
        console.print(size)
    if prior is not None:
        console.print(f"(tlsearch prior {shlex.quote(study)} shows where)")


def show_prior(study: str, storage: str | None, picture: Path | None, as_json: bool) -> None:
    """Show a study's prior: where it starts, by which rule, moved by which measure."""
    from tlsearch.cli.prior_table import prior_lines
    from tlsearch.studies.read import StudyReader

    reader = StudyReader(study, storage)
    found = reader.prior()
    space = reader.study.space
    if picture is not None:
        _draw(found, space, picture)
    if as_json:
        print_json(found.as_dict())
        return
    console.print("\n".join(prior_lines(found, space.ranges)))
    if picture is not None:
        console.print(f"drawn into {picture}")


def show_edited(
    study: str, spec: Path, storage: str | None, apply: bool, picture: Path | None, as_json: bool
) -> None:
    """Show what an edited `[prior]` table changes, and keep it with `apply`."""
    from tlsearch.spec import load_spec
    from tlsearch.studies.edit_prior import edit_prior
    from tlsearch.studies.read import StudyReader

    loaded = load_spec(spec)
    edited = edit_prior(study, loaded, storage)
    space = StudyReader(study, storage).study.space
    drawn = picture if edited.after is not None else None
    if drawn is not None and edited.after is not None:
        _draw(edited.after, space, drawn)
    if apply:  # last: the drawing may fail
        edited = edit_prior(study, loaded, storage, apply=True)
    if as_json:
        print_json(_edited_as_json(edited, apply))
        return
    console.print("\n".join(_edited_lines(edited, space)))
    if drawn is not None:
        console.print(f"drawn into {drawn}")
    console.print("\n".join(_kept_lines(edited) if apply else [_NOT_KEPT]))


def _edited_as_json(edited: "EditedPrior", apply: bool) -> dict[str, object]:
    return {
        "before": edited.before.as_dict() if edited.before is not None else None,
        "after": edited.after.as_dict() if edited.after is not None else None,
        "applied": apply,
        "queued": edited.queued,
    }


def _edited_lines(edited: "EditedPrior", space: "SearchSpace") -> list[str]:
    from tlsearch.cli.prior_table import changed_lines, prior_lines

    if edited.after is None:
        return ["prior.use = false: the search goes on without a prior"]
    changed = changed_lines(edited.before, edited.after)
    return [*prior_lines(edited.after, space.ranges), "", *changed]


def _kept_lines(edited: "EditedPrior") -> list[str]:
    if edited.after is None:
        return ["kept: no prior from the next trial on; what is queued still runs"]
    kept = "kept: draws follow it from the next trial on; what is queued still runs"
    if edited.queued is None:
        return [kept, "the budget leaves no room to queue its mode"]
    return [kept, f"its mode is trial {edited.queued}"]


def _draw(prior: Prior, space: "SearchSpace", path: Path) -> None:
    from tlsearch.report.prior_picture import draw_prior

    draw_prior(prior, space.ranges, space.plain_default().as_dict(), path)


_NOT_KEPT = "nothing is changed yet; --apply keeps it"
