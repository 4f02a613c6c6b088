"""Which knob of the winner paid, by trainings of its own."""

from tlsearch.report.page.facts import Facts
from tlsearch.report.page.section import Section


def section(facts: Facts) -> Section:
    """Return how to learn it."""
    missing = (
        "It is not known yet which knob of the best settings pays. That takes trainings of its "
        "own, from the default to the winner one knob at a time and back; importances above are a "
        "weaker hint, from the search's own trials."
    )
    return Section(
        "knobs", "Which knob paid", (missing,), commands=(f"tlsearch finalists {facts.name}",)
    )
