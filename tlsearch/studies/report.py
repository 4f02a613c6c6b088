"""A study's report with all that other commands added to the study."""

from pathlib import Path

from tlsearch.report.page import Extras
from tlsearch.report.page import write_report as write_page
from tlsearch.studies.finals import read_finals
from tlsearch.studies.knobs import read_knobs
from tlsearch.studies.tested import read_tests


def write_report(
    name: str, out: Path | str, storage: str | None = None, *, force: bool = False
) -> Path:
    """Write a study's report into a folder, whole or not at all.

    One page of HTML that needs no network, with the figures (PNG, CSV) and tables (CSV) beside it.

    Args:
        name: the study.
        out: the folder, made if need be; an earlier report of the study is replaced.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        force: also replace another study's report, and one that files were added to.

    Returns:
        The page, `index.html` in that folder.

    Raises:
        StudyError: no such study, or none of its trials is complete.
        StorageError: the database cannot be reached.
        InputError: the folder holds something else, or cannot be written.
    """
    extras = Extras(
        finals=read_finals(name, storage),
        tests=read_tests(name, storage),
        knobs=read_knobs(name, storage),
    )
    return write_page(name, out, storage, extras=extras, force=force)
