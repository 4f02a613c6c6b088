"""What `tlsearch test` prints: figures on the test images, as lines for people."""

from collections.abc import Sequence
from statistics import fmean

from tlsearch.cli.display import columns
from tlsearch.errors import on_one_line
from tlsearch.records.format import p_value, percent, points
from tlsearch.records.objective import MEAN_AVERAGE_PRECISION
from tlsearch.records.tested import ClassFigure, TestFigure, TestGain, TestResult

_MOST_CLASSES = 12  # of more, those with the lowest recall are shown
_FEWER_CLASSES = 8
_PAIRS = 5
_IMAGES = 5
_NAME_LENGTH = 40

HEADING = [
    "finalist",
    "predicted from",
    "models",
    "accuracy",
    "sd",
    "95 % interval",
    "balanced",
    "macro F1",
    "log loss",
    "ECE",
    "scaled",
    "passes",
    "ms/image",
]
LEGEND = (
    "accuracy: top-1, mean of the models; interval: over seeds and images; ECE: expected "
    "calibration error, scaled: after temperature scaling on validation images; passes: forward "
    "passes an image"
)


LEGEND_OF_SEVERAL = (
    "mAP: mean average precision, mean of the models; interval: images and models drawn again; all "
    "right: images all of whose labels are right, at a threshold of one half, as macro F1; ECE: "
    "expected calibration error of the answers for each label, scaled: after temperature scaling "
    "on validation images; passes: forward passes an image"
)
_SEVERAL = {"accuracy": "mAP", "balanced": "all right"}


def result_lines(result: TestResult) -> list[str]:
    """Return a look in full."""
    lines = [_heading(result)]
    if not result.is_first:
        lines.append(
            f"look {result.look}: no longer an honest figure, since something may have been chosen "
            "by an earlier look"
        )
    several = result.objective == MEAN_AVERAGE_PRECISION
    heading = [_SEVERAL.get(name, name) for name in HEADING] if several else HEADING
    lines += columns([heading, *(_cells(figure) for figure in result.figures)])
    lines.append(LEGEND_OF_SEVERAL if several else LEGEND)
    lines += [gain_line(result.answer, gain) for gain in result.gains]
    return [*lines, *_class_lines(result.classes), *_pair_lines(result), *_wrong_lines(result)]


def later_line(result: TestResult) -> str:
    """Return a line on a later look."""
    figure = result.figure(result.answer)
    accuracy = percent(figure.mean if figure else None)
    return (
        f"looked at again: look {result.look} of {_time(result)}, {_name(result.answer)} "
        f"{accuracy} (trained on {result.trained_on})"
    )


def _heading(result: TestResult) -> str:
    seeds = ", ".join(map(str, result.seeds))
    many = "s" * (len(result.seeds) > 1)
    return (
        f"{result.study}: {result.n_test} test images, look {result.look} of {_time(result)}; "
        f"{_name(result.answer)} was recommended before (trained on {result.trained_on}, "
        f"seed{many} {seeds})"
    )


def _cells(figure: TestFigure) -> list[str]:
    return [
        _name(figure.finalist),
        figure.prediction,
        str(len(figure.accuracies)),
        percent(figure.mean),
        "-" if figure.sd is None else f"{100 * figure.sd:.1f}",
        f"{100 * figure.low:.1f} to {100 * figure.high:.1f}",
        percent(
            fmean(figure.accuracies) if figure.average_precisions else figure.balanced_accuracy
        ),
        f"{figure.macro_f1:.3f}",
        f"{figure.log_loss:.3f}",
        percent(figure.ece),
        percent(figure.ece_scaled),
        str(figure.passes),
        f"{1000 * figure.seconds_per_image:.2f}",
    ]


def gain_line(answer: str, gain: TestGain) -> str:
    """Return how the answer stands beside another finalist."""
    where = f"{points(gain.gain)} {'ahead of' if gain.gain > 0 else 'behind'}"
    if gain.gain == 0:
        where = "as accurate as"
    low, high = f"{100 * gain.low:+.1f}", f"{100 * gain.high:+.1f}"
    return (
        f"{_name(answer)} is {where} {_name(gain.other)} "
        f"(95 % interval {low} to {high}, {p_value(gain.p_value)})"
    )


def _class_lines(classes: Sequence[ClassFigure]) -> list[str]:
    shown = list(classes)
    lines = []
    several = any(each.average_precision is not None for each in classes)
    if len(classes) > _MOST_CLASSES:
        shown = sorted(classes, key=_worth)[:_FEWER_CLASSES]
        lowest = "average precision" if several else "recall"
        lines.append(f"the {len(shown)} classes of {len(classes)} with the lowest {lowest}:")
    rows = [
        [
            _name(each.name),
            str(each.n),
            *([percent(each.average_precision)] if several else []),
            percent(each.recall),
            percent(each.precision),
            f"{each.f1:.3f}",
        ]
        for each in shown
    ]
    first = ["class", "images", *(["average precision"] if several else [])]
    return [*lines, *columns([[*first, "recall", "precision", "F1"], *rows])]


def _worth(each: ClassFigure) -> float:
    """Return what the worst classes are found by; those without an image are none of them."""
    found = each.recall if each.average_precision is None else each.average_precision
    return 2.0 if found is None else found


def _pair_lines(result: TestResult) -> list[str]:
    names = [each.name for each in result.classes]
    pairs = [
        (n, row, column)
        for row, counts in enumerate(result.confusion)
        for column, n in enumerate(counts)
        if n and row != column
    ]
    most = sorted(pairs, key=lambda pair: -pair[0])[:_PAIRS]
    words = [
        f"{_name(names[row])} taken for {_name(names[column])} "
        f"({n} of {sum(result.confusion[row])})"
        for n, row, column in most
    ]
    return [f"most often confused: {'; '.join(words)}"] if words else []


def _wrong_lines(result: TestResult) -> list[str]:
    words = [
        f"{on_one_line(wrong.image)} (taken for {_name(wrong.predicted)}, "
        f"{percent(wrong.probability)}; is {_name(wrong.label)})"
        for wrong in result.most_wrong[:_IMAGES]
    ]
    return [f"most certain and wrong: {', '.join(words)}"] if words else []


def _time(result: TestResult) -> str:
    return result.at.astimezone().strftime("%Y-%m-%d %H:%M")


def _name(name: str) -> str:
    name = on_one_line(name)
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
