"""A picture of some validation images with what a trial took them for."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlsearch.report.figures import drawable, own_defaults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS, ROWS = 5, 4
SIDE = 96  # pixels of an image in the picture
NAME_LENGTH = 17
RIGHT, WRONG = "#00845f", "#c14f00"  # legible to every eye, and each has a mark of its own


@own_defaults()
def sample_predictions(
    image: Callable[[int], NDArray[np.uint8]],
    labels: Sequence[int],
    predictions: Sequence[int],
    class_names: Sequence[str],
) -> bytes:
    """Draw images evenly chosen from all, each with its class and what it was taken for.

    They are not chosen for being right or wrong, so the share of wrong ones is about that of all.

    Args:
        image: returns one image by its index, uint8 (h, w, 3).
        labels: the class of each image, an index into `class_names`.
        predictions: the predicted one.
        class_names: by index.

    Returns:
        A PNG file.
    """
    from matplotlib.figure import Figure

    chosen = evenly(len(labels), COLUMNS * ROWS)
    figure = Figure(figsize=(7.0, 6.6), dpi=110, layout="constrained")
    for place, axes in enumerate(figure.subplots(ROWS, COLUMNS).flat):
        axes.set_axis_off()
        if place < len(chosen):
            index = chosen[place]
            axes.imshow(_fitted(image(index)))
            _name(axes, class_names[labels[index]], class_names[predictions[index]])
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def evenly(n: int, most: int) -> list[int]:
    """Return at most `most` indices below n, at even distances."""
    return [i * n // most for i in range(most)] if n > most else list(range(n))


def _name(axes: "Axes", label: str, predicted: str) -> None:
    if label == predicted:
        text, color = f"\N{CHECK MARK} {_short(label)}\n", RIGHT
    else:
        text, color = f"\N{MULTIPLICATION X} {_short(predicted)}\nis {_short(label)}", WRONG
    axes.set_title(text, fontsize=8, color=color, loc="left")


def _short(name: str) -> str:
    return drawable(name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…")


def _fitted(pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """Return an image as a square of SIDE pixels, on white."""
    from PIL import Image

    whole = Image.fromarray(np.ascontiguousarray(pixels))
    scale = SIDE / max(whole.size)
    size = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
    square = Image.new("RGB", (SIDE, SIDE), "white")
    corner = ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2)
    square.paste(whole.resize(size, Image.Resampling.BILINEAR), corner)
    return np.asarray(square)
