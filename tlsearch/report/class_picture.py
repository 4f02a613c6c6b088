"""A picture of sample images of each class as the network sees them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tlsearch.errors import InputError, described
from tlsearch.report.figures import drawable, own_defaults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES, N_TRAIN, N_VAL = 24, 4, 3
FORMATS = (".png", ".pdf")
_SIDE, _GAP = 96, 6  # pixels of an image in the picture, and between two
_NAME_LENGTH = 24

Image = NDArray[np.uint8]


class Seen(Protocol):
    """Images of one class, each uint8 (size, size, 3)."""

    @property
    def name(self) -> str: ...

    @property
    def train(self) -> Sequence[Image]: ...

    @property
    def val(self) -> Sequence[Image]: ...


def draw_classes(classes: Sequence[Seen], n_classes: int, path: Path) -> None:
    """Draw a row for each class: training images on the left, validation images on the right.

    Args:
        classes: at most `MOST_CLASSES`.
        n_classes: how many there are in all.
        path: a .png or .pdf file.

    Raises:
        InputError: another kind of file, or it cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path}: not a picture file; give a name that ends in {' or '.join(FORMATS)}"
        )
    try:
        with own_defaults():
            _figure(classes, n_classes).savefig(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give another folder or file"
        ) from None
    except Exception as error:
        raise InputError(
            f"{path}: cannot be drawn ({described(error)}); without --samples the rest is checked"
        ) from error


def sheet(classes: Sequence[Seen]) -> Image:
    """Return all images on one white sheet, uint8 (h, w, 3): a row a class."""
    columns, step = N_TRAIN + N_VAL, _SIDE + _GAP
    found = np.full((len(classes) * step, columns * step + _SIDE // 2, 3), 255, dtype=np.uint8)
    for row, each in enumerate(classes):
        for column, image in [*enumerate(each.train), *enumerate(each.val, N_TRAIN)]:
            left = column * step + (_SIDE // 2 if column >= N_TRAIN else 0)
            found[row * step : row * step + _SIDE, left : left + _SIDE] = _fitted(image)
    return found


def _figure(classes: Sequence[Seen], n_classes: int) -> "Figure":
    from matplotlib.figure import Figure

    drawn, step = sheet(classes), _SIDE + _GAP
    height, width = drawn.shape[:2]
    figure = Figure(figsize=(width / 100 + 2.2, height / 100 + 0.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.imshow(drawn, interpolation="nearest")
    axes.set_yticks([row * step + _SIDE / 2 for row in range(len(classes))])
    axes.set_yticklabels([_short(each.name) for each in classes])
    middles = [(N_TRAIN * step) / 2, N_TRAIN * step + _SIDE / 2 + (N_VAL * step) / 2]
    axes.set_xticks(middles, ["training, as drawn in epoch 1", "validation"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if n_classes > len(classes):
        axes.set_xlabel(f"{len(classes)} of {n_classes} classes")
    return figure


def _short(name: str) -> str:
    return drawable(name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…")


def _fitted(pixels: Image) -> Image:
    from PIL import Image as Pillow

    whole = Pillow.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(whole.resize((_SIDE, _SIDE), Pillow.Resampling.BILINEAR))
