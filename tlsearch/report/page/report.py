"""Puts a report together: facts, sections, the page, the files beside it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from tlsearch.report.csv_file import as_csv
from tlsearch.report.page import (
    cost,
    course,
    figure_1_single_rates,
    figure_2_layers,
    figure_3_low_rates,
    figure_4_l2sp,
    figure_6_optimal,
    finalists,
    importances,
    knobs,
    learning_curves,
    overview,
    table_1_measures,
    table_7_rule,
    test_images,
    trial_images,
)
from tlsearch.report.page.facts import Extras, Facts
from tlsearch.report.page.folder import check_folder, write_folder
from tlsearch.report.page.gather import gather
from tlsearch.report.page.html import page
from tlsearch.report.page.section import Section
from tlsearch.report.page.table_picture import table_png
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study

SECTIONS: Sequence[Callable[[Facts], Section]] = (
    overview.section,
    table_1_measures.section,
    figure_1_single_rates.section,
    figure_2_layers.section,
    figure_3_low_rates.section,
    figure_4_l2sp.section,
    figure_6_optimal.section,
    table_7_rule.section,
    course.section,
    learning_curves.section,
    importances.section,
    knobs.section,
    finalists.section,
    trial_images.section,
    test_images.section,
    cost.section,
)


def write_report(
    name: str,
    out: Path | str,
    storage: str | None = None,
    *,
    extras: Extras | None = None,
    force: bool = False,
) -> Path:
    """Write a study's report into a folder, whole or not at all.

    Args:
        name: the study.
        out: the folder; an earlier report of the study is replaced.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        extras: finalists and test results; None = the page says how to get them.
        force: also replace another study's report, and one that files were added to.

    Returns:
        The page, `index.html` in that folder.

    Raises:
        StudyError: no such study, or none of its trials is complete.
        StorageError: the database cannot be reached.
        InputError: the folder holds something else, or cannot be written.
    """
    folder = Path(out).expanduser().absolute()
    database = open_storage(storage)
    study = find_study(database, name)
    check_folder(folder, name, force)
    facts = gather(database, study, extras or Extras())
    sections = [section(facts) for section in SECTIONS]
    write_folder(folder, name, files_of(name, sections), force)
    return folder / "index.html"


def files_of(name: str, sections: Sequence[Section]) -> dict[str, bytes]:
    """Return the files of a report by path: the page, and what lies beside it."""
    made_at = datetime.now().astimezone()
    files = {"index.html": page(name, sections, made_at).encode(errors="replace")}
    for section in sections:
        for figure in section.figures:
            files[f"figures/{figure.slug}.png"] = figure.drawn.png
            files[f"figures/{figure.slug}.csv"] = as_csv(figure.data)
        for table in section.tables:
            files[f"tables/{table.slug}.csv"] = as_csv(table.rows)
            files[f"tables/{table.slug}.png"] = table_png(table)
        for picture in section.pictures:
            files[f"pictures/{picture.slug}.png"] = picture.png
    return files
