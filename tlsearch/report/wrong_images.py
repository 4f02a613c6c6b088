"""A picture of the images on which a model was most certain and wrong."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlsearch.records.tested import WrongImage
from tlsearch.report.figures import drawable, own_defaults

COLUMNS = 6
_NAME_LENGTH = 20

Pixels = NDArray[np.uint8]


@own_defaults()
def wrong_images(shown: Sequence[tuple[WrongImage, Pixels]], title: str) -> bytes:
    """Draw images with what was predicted of them and what they are.

    Args:
        shown: each with its pixels, uint8 (h, w, 3); there may be none.
        title: above the picture.

    Returns:
        A PNG file.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(COLUMNS, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    size = max(5.0, 2.1 * columns), 0.7 + 2.5 * rows
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    figure.suptitle(drawable(title), fontsize=12)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, (wrong, pixels) in zip(figure.axes, shown, strict=False):
        axes.imshow(pixels)
        axes.set_title(_words(wrong), fontsize=9)
    if not shown:
        figure.axes[0].text(0.5, 0.5, "none is wrong", ha="center")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _words(wrong: WrongImage) -> str:
    predicted, label = _shortened(wrong.predicted), _shortened(wrong.label)
    return f"{predicted} ({100 * wrong.probability:.0f} %)\nis {label}"


def _shortened(name: str) -> str:
    return drawable(name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…")
