"""`tlsearch report`: one page with all figures and tables of a study."""

from pathlib import Path
from typing import Annotated

import typer

from tlsearch.cli.display import console, print_json
from tlsearch.cli.options import Json, Storage, StudyName


def report(
    study: StudyName,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the report; made if need be.")
    ],
    storage: Storage = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also replace another study's report, and one that files were added to.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the report of a study: one HTML page, PNG and CSV files beside it."""
    from tlsearch.studies.report import write_report

    page = write_report(study, out, storage, force=force)
    if as_json:
        print_json({"study": study, "page": str(page), "folder": str(page.parent)})
        return
    console.print(f"{page}", soft_wrap=True, markup=False, highlight=False)
