"""What a model card says of finalists and of tests on test images."""

from collections.abc import Mapping, Sequence

from tlsearch.errors import on_one_line
from tlsearch.records.finals import Finals
from tlsearch.records.format import percent
from tlsearch.records.tested import TestFigure, TestResult


def card_sections(finals: Finals | None, tests: Sequence[TestResult]) -> Mapping[str, str]:
    """Return sections of a card by their headings: finalists over seeds, and the test.

    Args:
        finals: of the search; None = it has none.
        tests: all looks at its test images, the first one first.
    """
    sections = {}
    if finals is not None and any(each.runs for each in finals.finalists):
        sections["Over several seeds"] = _finals(finals)
    if tests:
        sections["On test images"] = "\n\n".join(_test(each) for each in tests)
    return sections


def _finals(finals: Finals) -> str:
    rows = [
        f"| {_cell(each.name)} | {percent(each.mean)} | {percent(each.sd)} | {len(each.runs)} |"
        for each in finals.finalists
        if each.runs
    ]
    table = "| validation accuracy of | mean | standard deviation | seeds |\n|---|---|---|---|\n"
    text = table + "\n".join(rows)
    if finals.recommended is not None and finals.why:
        text += f"\n\nRecommended: {_cell(finals.recommended)}; {_cell(finals.why)}."
    return text


def _test(result: TestResult) -> str:
    looked = "Looked at once" if result.is_first else f"Look {result.look}, no longer an honest one"
    text = (
        f"{looked}, on {result.at:%Y-%m-%d}: {result.n_test} test images; models trained on "
        f"{result.trained_on}; {_cell(result.answer)} was recommended before.\n\n"
        "| model | predicted from | mean | 95 % interval | models |\n|---|---|---|---|---|\n"
    )
    return text + "\n".join(map(_row, result.figures))


def _row(figure: TestFigure) -> str:
    interval = f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"
    return (
        f"| {_cell(figure.finalist)} | {figure.prediction} | {percent(figure.mean)} | {interval} "
        f"| {len(figure.accuracies)} |"
    )


def _cell(text: str) -> str:
    return on_one_line(text).replace("|", "\\|")
