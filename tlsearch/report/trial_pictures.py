"""Pictures of one trial for the dashboard: its learning curve and its confusion matrix."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tlsearch.records.format import percent
from tlsearch.records.objective import (
    ACCURACY,
    Objective,
    axis_label,
    is_minimised,
    plot_factor,
    shown,
)
from tlsearch.report.figures import drawable, own_defaults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MATRIX_CLASSES = 30  # a larger matrix cannot be read
NUMBERED_CLASSES = 15  # a larger matrix has no room for numbers in its cells
PAIRS = 20  # shown where there are too many classes for a matrix
NAME_LENGTH = 22

Matrix = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]


@own_defaults()
def learning_curve(
    curve: Sequence[float],
    others: Sequence[Sequence[float]],
    title: str = "",
    objective: Objective = ACCURACY,
) -> bytes:
    """Draw a trial's score by epoch, in its own unit, over the band of other trials.

    Args:
        curve: its scores by epoch; of accuracy fractions.
        others: the same for the other trials; they may be shorter.
        title: above the picture.
        objective: what the scores are.

    Returns:
        A PNG file.
    """
    figure, axes = _figure(7.0, 4.2, title)
    factor = plot_factor(objective)
    if any(others):
        _band(axes, others, factor)
    epochs = np.arange(1, len(curve) + 1)
    axes.plot(epochs, factor * np.asarray(curve), color="tab:blue", lw=2.2, label="this trial")
    if len(curve):
        _mark_last(axes, len(curve), factor * curve[-1], shown(objective, curve[-1]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(axis_label(objective))
    axes.set_xlim(0.5, max(len(curve), *(len(other) for other in others), 1) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(y=0.12)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right" if is_minimised(objective) else "lower right")
    return _png(figure)


@own_defaults()
def confusion_matrix(
    labels: Sequence[int] | npt.NDArray[Any],
    predictions: Sequence[int] | npt.NDArray[Any],
    class_names: Sequence[str],
    title: str = "",
) -> bytes:
    """Draw which classes are confused: a matrix, or the most confused pairs of many classes.

    Args:
        labels: the true class of each image, an index into `class_names`.
        predictions: the predicted one.
        class_names: any number of them, from 2 to thousands.
        title: above the picture.

    Returns:
        A PNG file.
    """
    n = len(class_names)
    true, predicted = np.asarray(labels, np.int64), np.asarray(predictions, np.int64)
    names = [_shortened(name) for name in class_names]
    if n > MATRIX_CLASSES:
        return _pairs(true, predicted, names, title)
    counts = np.bincount(true * n + predicted, minlength=n * n).reshape(n, n).astype(np.float64)
    return _matrix(counts, names, title)


def _band(axes: "Axes", others: Sequence[Sequence[float]], factor: float) -> None:
    """Shade the range of most other trials, at each epoch of those that reached it."""
    longest = max(len(other) for other in others)
    padded = np.full((len(others), longest), np.nan)
    for row, other in zip(padded, others, strict=True):
        row[: len(other)] = factor * np.asarray(other)
    low, middle, high = np.nanpercentile(padded, [10, 50, 90], axis=0)
    epochs = np.arange(1, longest + 1)
    label = f"10 to 90 % of {len(others)} other{'s' * (len(others) > 1)}"
    axes.fill_between(epochs, low, high, color="tab:gray", alpha=0.25, lw=0, label=label)
    axes.plot(epochs, middle, color="tab:gray", lw=1.2, label="their median")


def _mark_last(axes: "Axes", epoch: int, y: float, text: str) -> None:
    axes.plot([epoch], [y], "o", color="tab:blue")
    axes.annotate(
        text,
        (epoch, y),
        xytext=(-4, 7),
        textcoords="offset points",
        ha="right",
    )


def _matrix(counts: Matrix, names: Sequence[str], title: str) -> bytes:
    n = len(names)
    overall = _overall(int(np.trace(counts)), int(counts.sum()), n)
    side = min(max(4.6, 0.55 * n + 2.2), 12.0)
    figure, axes = _figure(side + 0.8, side, title or overall)
    share = _row_shares(counts)
    image = axes.imshow(100 * share, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="% of the true class", fraction=0.046)
    axes.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if n <= NUMBERED_CLASSES:
        _number(axes, share)
    return _png(figure)


def _number(axes: "Axes", share: Matrix) -> None:
    for row, column in zip(*np.nonzero(share > 0), strict=True):
        value = share[row, column]
        color = "white" if value > 0.5 else "black"
        text = f"{100 * value:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)


def _pairs(true: Classes, predicted: Classes, names: Sequence[str], title: str) -> bytes:
    """Draw the most confused pairs, and a histogram of the classes' accuracies."""
    right_ones = true == predicted
    overall = _overall(int(right_ones.sum()), len(true), len(names))
    figure, (left, right) = _figure(13.0, 6.5, title or overall, columns=2)
    images = np.bincount(true, minlength=len(names))
    _most_confused(left, true[~right_ones], predicted[~right_ones], images, names)
    of_class = np.bincount(true[right_ones], minlength=len(names))[images > 0]
    accuracies = 100 * of_class / images[images > 0]
    right.hist(accuracies, bins=np.linspace(0, 100, 21), color="tab:blue", alpha=0.8)
    right.set_xlabel("accuracy of a class, %")
    right.set_ylabel(f"classes, of {len(accuracies)} with validation images")
    right.yaxis.get_major_locator().set_params(integer=True)
    right.grid(alpha=0.3)
    return _png(figure)


def _most_confused(
    axes: "Axes", true: Classes, predicted: Classes, images: Classes, names: Sequence[str]
) -> None:
    """Draw the pairs of wrong predictions; never all pairs, of which there may be millions."""
    pairs, wrong = np.unique(true * len(names) + predicted, return_counts=True)
    of_true = images[pairs // len(names)]
    order = np.lexsort((-wrong / np.maximum(of_true, 1), -wrong))[:PAIRS]
    axes.set_title("most confused: true → predicted", fontsize=11)
    if not len(order):
        axes.text(0.5, 0.5, "none is confused", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    places = range(len(order))
    bars = axes.barh(places, 100 * wrong[order] / of_true[order], color="tab:red", alpha=0.75)
    shown = [divmod(int(pair), len(names)) for pair in pairs[order]]
    axes.set_yticks(places, [f"{names[one]} → {names[other]}" for one, other in shown])
    counts = [f"{wrong[i]} of {of_true[i]}" for i in order]
    axes.bar_label(bars, counts, padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("% of the true class")


def _row_shares(counts: Matrix) -> Matrix:
    """Divide each row by its sum; the row of a class without images stays 0."""
    shares: Matrix = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _overall(right: int, total: int, n_classes: int) -> str:
    accuracy = percent(right / total if total else None)
    return f"validation accuracy {accuracy} on {total} images of {n_classes} classes"


def _shortened(name: str) -> str:
    """Return a class name for a label."""
    return drawable(name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…")


def _figure(width: float, height: float, title: str, columns: int = 1) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots(1, columns)
    write = axes.set_title if columns == 1 else figure.suptitle
    write(drawable(title), fontsize=12)
    return figure, axes


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
