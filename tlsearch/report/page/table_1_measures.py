"""Table 1: the domain measures beside those of the paper's four data sets."""

from tlsearch.report.measures_table import footnotes, meaning, measures_rows
from tlsearch.report.page.facts import Facts
from tlsearch.report.page.section import Section, Table


def section(facts: Facts) -> Section:
    """Return Table 1, or a sentence where nothing was measured."""
    if facts.measures is None:
        return Section(
            "table-1",
            "Table 1: how well the pretrained weights fit",
            words=(_missing(facts),),
            commands=() if _is_off(facts) else (f"tlsearch measure {facts.name}",),
        )
    rows = tuple(tuple(cell or "-" for cell in row) for row in measures_rows(facts.measures))
    paper = (
        "The paper calls the difference between training from random weights and a linear "
        "classifier on fixed features the best sign of whether the weights fit: below zero for "
        "Caltech and DTD, far above for Cars and Aircraft. It finds the EMD similarity a poor sign."
    )
    return Section(
        "table-1",
        "Table 1: how well the pretrained weights fit",
        words=(meaning(facts.measures, facts.prior), paper),
        tables=(
            Table(
                "table-1-measures",
                "Table 1: measures",
                rows,
                note="; ".join(footnotes(facts.measures)),
            ),
        ),
    )


def _is_off(facts: Facts) -> bool:
    return facts.study.spec.measures.when == "off"


def _missing(facts: Facts) -> str:
    if _is_off(facts):
        return (
            'Nothing was measured, because the spec says measures.when = "off". A study with '
            '"worker" or "create" has this table.'
        )
    if facts.unmeasured is not None:
        return f"The measures could not be taken: {facts.unmeasured}."
    return "Nothing is measured yet; a worker does it before its first trial."
