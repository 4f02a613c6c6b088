"""What a model says of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tlsearch.records.format import percent

_ROWS = 20  # of the table in a notebook


@dataclass(frozen=True, slots=True)
class Guess:
    """A class with its probability."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        image: its path as given, or `image 3`.
        top: the most probable classes, the best first; empty where the image cannot be read. Where
            an image may have several labels, those that it has, if not so many were asked for.
        error: why it cannot be read; None where it can.
        every: where an image may have several labels, all classes in their order; empty where so
            many were asked for.
    """

    image: str
    top: tuple[Guess, ...] = ()
    error: str | None = None
    every: tuple[Guess, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that are named, the most probable one first."""
        return tuple(guess.label for guess in self.top)

    @property
    def label(self) -> str | None:
        """The most probable class; None where the image cannot be read, or has no label."""
        return self.top[0].label if self.top else None

    @property
    def probability(self) -> float | None:
        """The probability of that class; None likewise."""
        return self.top[0].probability if self.top else None


@dataclass(frozen=True, slots=True, eq=False)
class Predictions(Sequence[Prediction]):
    """What a model says of several images, in their order.

    Attributes:
        items: one an image.
        probabilities: float32 (n, n_classes); NaN in the row of an image that cannot be read.
        class_names: of the columns.
    """

    items: tuple[Prediction, ...]
    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Prediction]: ...
    def __getitem__(self, index: int | slice) -> Prediction | Sequence[Prediction]:
        """Return what is said of an image, or of several."""
        return self.items[index]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    @property
    def errors(self) -> tuple[Prediction, ...]:
        """Those of images that cannot be read."""
        return tuple(each for each in self.items if each.error is not None)

    def _repr_html_(self) -> str:
        """Return a small table for a notebook."""
        rows = "".join(map(_row, self.items[:_ROWS]))
        more = len(self.items) - _ROWS
        rest = f"<tr><td colspan=3>and {more} more</td></tr>" if more > 0 else ""
        head = "<tr><th>image</th><th>class</th><th>probability</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}{rest}</tbody></table>"


def _row(each: Prediction) -> str:
    if each.error is not None:
        said = f"<td colspan=2>cannot be read: {escape(each.error)}</td>"
    else:
        labels = "<br>".join(map(escape, each.labels)) or "(none)"
        said = f"<td>{labels}</td><td>"
        said += "<br>".join(percent(guess.probability) for guess in each.top) + "</td>"
    return f"<tr><td>{escape(each.image)}</td>{said}</tr>"
