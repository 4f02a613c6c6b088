"""A picture of one trial where images have several labels: how well it ranks each class."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlsearch.records.format import percent
from tlsearch.report.figures import drawable, own_defaults

MOST_CLASSES = 40  # of more those with the lowest precision are shown
NAME_LENGTH = 22


@own_defaults()
def average_precisions(
    precisions: NDArray[np.float64], images: Sequence[int], class_names: Sequence[str]
) -> bytes:
    """Draw the average precision of each class, lowest first, with its number of images.

    Args:
        precisions: (n_classes,), fractions; NaN of a class without images, which is left out.
        images: of each class.
        class_names: by class index.

    Returns:
        A PNG file.
    """
    from matplotlib.figure import Figure

    known = [k for k in np.argsort(precisions, kind="stable") if np.isfinite(precisions[k])]
    shown = known[:MOST_CLASSES]
    figure = Figure(figsize=(7.0, 1.4 + 0.26 * len(shown)), dpi=110, layout="constrained")
    axes = figure.subplots()
    mean = float(precisions[known].mean()) if known else None
    axes.set_title(f"mean average precision {percent(mean)} of {len(known)} classes", fontsize=12)
    bars = axes.barh(range(len(shown)), 100 * precisions[shown], color="tab:blue", alpha=0.8)
    axes.bar_label(bars, [f"{100 * precisions[k]:.0f}" for k in shown], padding=3, fontsize=8)
    names = [f"{_shortened(class_names[k])} ({images[k]})" for k in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    few = f"; the lowest {len(shown)} classes" if len(shown) < len(known) else ""
    axes.set_xlabel(f"average precision on validation images, %{few}")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _shortened(name: str) -> str:
    return drawable(name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…")
