"""Sections of a model card: finalists, the test images, and images with plain timm."""

from collections.abc import Sequence

from tlsearch.export.plain_timm import ALWAYS, REMEDIES, Kind, SeenOtherwise
from tlsearch.predict.exported import Preprocessing
from tlsearch.records import objective
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


def plain_timm_section(preprocessing: Preprocessing, seen: SeenOtherwise | None) -> str:
    """Return which kinds of image plain timm sees otherwise, and how to open them.

    Args:
        preprocessing: of the model.
        seen: how many images of the study are of these kinds; None = not known here.
    """
    kinds: list[Kind] = list(ALWAYS)
    kinds += [kind for kind in REMEDIES if kind not in kinds and seen and kind in seen.kinds]
    if preprocessing.resize == "rounded" and "shape" not in kinds:
        kinds.append("shape")
    intro = (
        'An image that is opened by `Image.open(path).convert("RGB")` comes out of timm\'s own '
        "transform with the pixels of the validation, except for these kinds. `tlsearch predict` "
        "sees all kinds as the validation did."
    )
    if seen is None:
        count = "The study's images were not here, so it is not known how many are of these kinds."
    else:
        count = f"Of the study's images (training, validation and test): {seen.text}."
    head = "| image | plain timm sees | before `convert`, with Pillow and NumPy |\n|---|---|---|\n"
    return f"{intro}\n\n{head}" + "\n".join(map(_remedy_row, kinds)) + f"\n\n{count}"


def _remedy_row(kind: Kind) -> str:
    remedy = REMEDIES[kind]
    line = f"`{remedy.line}`" if remedy.line else "use `tlsearch predict`"
    return f"| {remedy.what} | {remedy.seen} | {line} |"


def _finalist_row(each: Finalist) -> str:
    return f"| {each.name} | {len(each.runs)} | {percent(each.mean)} | {percent(each.sd)} |"


def _look(result: TestResult) -> str:
    when = f"{result.at:%Y-%m-%d}"
    words = f"Look {result.look} at the {result.n_test} test images, on {when}, by models that "
    words += f"were trained on {result.trained_on}"
    if result.look > 1:
        words += "; the images were looked at before, so this is no honest figure any more"
    one = result.objective == objective.ACCURACY
    mean = "mean" if one else objective.words(result.objective)
    head = f"| model | prediction | n | {mean} | standard deviation | 95 % interval |\n"
    head += "|---|---|---|---|---|---|\n"
    return f"{words}:\n\n{head}" + "\n".join(map(_figure_row, result.figures))


def _figure_row(figure: TestFigure) -> str:
    interval = f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"
    cells = [figure.finalist, figure.prediction, str(len(figure.each))]
    cells += [percent(figure.mean), percent(figure.sd), interval]
    return f"| {' | '.join(cells)} |"
