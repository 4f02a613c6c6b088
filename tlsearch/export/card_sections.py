"""Sections of a model card on finalists and on the test images."""

from collections.abc import Sequence

from tlsearch.records.finals import Finalist, Finals
from tlsearch.records.format import percent
from tlsearch.records.tested import TestFigure, TestResult


def finals_section(finals: Finals) -> str:
    """Return what the finalists reach over their seeds, on the validation images."""
    head = "| finalist | seeds | mean | standard deviation |\n|---|---|---|---|\n"
    table = head + "\n".join(map(_finalist_row, finals.finalists))
    return "\n\n".join(filter(None, [table, finals.why]))


def test_section(results: Sequence[TestResult]) -> str:
    """Return what models reach on the test images: every look at them, the first one first.

    Only the first look is an honest figure; later ones are shown with their number.
    """
    return "\n\n".join(map(_look, results))


test_section.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def _finalist_row(each: Finalist) -> str:
    return f"| {each.name} | {len(each.runs)} | {percent(each.mean)} | {percent(each.sd)} |"


def _look(result: TestResult) -> str:
    when = f"{result.at:%Y-%m-%d}"
    words = f"Look {result.look} at the {result.n_test} test images, on {when}, by models that "
    words += f"were trained on {result.trained_on}"
    if result.look > 1:
        words += "; the images were looked at before, so this is no honest figure any more"
    head = "| model | prediction | n | mean | standard deviation | 95 % interval |\n"
    head += "|---|---|---|---|---|---|\n"
    return f"{words}:\n\n{head}" + "\n".join(map(_figure_row, result.figures))


def _figure_row(figure: TestFigure) -> str:
    interval = f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"
    cells = [figure.finalist, figure.prediction, str(len(figure.accuracies))]
    cells += [percent(figure.mean), percent(figure.sd), interval]
    return f"| {' | '.join(cells)} |"
