"""Classifies images by a model, batch by batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.reading import Unread
from tlsearch.data.references import Pixels
from tlsearch.errors import InputError
from tlsearch.predict.exported import Exported
from tlsearch.predict.images import GivenImage, ImageLike, crops_of, given_images
from tlsearch.predict.preprocess import Inputs, normalised
from tlsearch.predict.results import Guess, Prediction, Predictions
from tlsearch.records.objective import THRESHOLD

BATCH_SIZE = 64
Probabilities = NDArray[np.float32]


class Model(Protocol):
    """Gives probabilities: networks under torch, or one graph under ONNX Runtime."""

    def probabilities(self, inputs: Inputs) -> Probabilities:
        """Return float32 (b, n_classes) for float32 (b, size, size, 3), normalised."""
        ...


@dataclass(frozen=True)
class Predictor:
    """An exported model that is loaded.

    Attributes:
        exported: what it is.
        model: gives the probabilities.
    """

    exported: Exported
    model: Model

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.exported.class_names

    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        top_k: int | None = None,
        batch_size: int = BATCH_SIZE,
        threshold: float | None = None,
    ) -> Predictions:
        """Classify images; one that cannot be read is named by its `error`, the others go on.

        Args:
            images: paths, Pillow images and uint8 arrays (height, width, 3), mixed, one or
                several; a folder stands for all images in it, sorted.
            top_k: how many classes each result names; None = one, or where an image may have
                several labels those that it has.
            batch_size: images that go through the network at a time.
            threshold: an image has the labels with at least this probability; None = one half.

        Returns:
            The results in the order of the images.

        Raises:
            InputError: a number is out of its range, or a threshold is given where an image has
                one label.
            DataError: something is no image by its type or shape, or a folder has none.
            MemoryShortage: there is too little memory.
        """
        given = given_images(images)
        parts = list(self.batches(given, top_k=top_k, batch_size=batch_size, threshold=threshold))
        none = np.empty((0, len(self.class_names)), np.float32)
        return Predictions(
            tuple(each for part in parts for each in part),
            np.concatenate([none, *(part.probabilities for part in parts)]),
            self.class_names,
        )

    def batches(
        self,
        images: Sequence[GivenImage],
        *,
        top_k: int | None = None,
        batch_size: int = BATCH_SIZE,
        threshold: float | None = None,
    ) -> Iterator[Predictions]:
        """Return the results batch by batch; see `predict`."""
        if (top_k is not None and top_k < 1) or batch_size < 1:
            raise InputError(f"top_k = {top_k} and batch_size = {batch_size} must be 1 or more")
        if threshold is not None and not self.exported.several_labels:
            raise InputError("a threshold is for several labels an image, and this model gives one")
        if threshold is not None and not 0 < threshold < 1:
            raise InputError(f"threshold = {threshold:g} must lie between 0 and 1")
        names = _Names(self.exported, top_k, THRESHOLD if threshold is None else threshold)
        starts = range(0, len(images), batch_size)
        return (self._batch(images[start : start + batch_size], names) for start in starts)

    def _batch(self, images: Sequence[GivenImage], names: "_Names") -> Predictions:
        outcomes = crops_of(list(images), self.exported.preprocessing)
        probabilities = np.full((len(images), len(self.class_names)), np.nan, np.float32)
        crops = [each for each in outcomes if not isinstance(each, Unread)]
        if crops:
            inputs = normalised(crops, self.exported.preprocessing)
            read = [not isinstance(each, Unread) for each in outcomes]
            probabilities[read] = self.model.probabilities(inputs)
        rows = zip(images, outcomes, probabilities, strict=True)
        items = tuple(names.prediction(*row) for row in rows)
        return Predictions(items, probabilities, self.class_names)


@dataclass(frozen=True, slots=True)
class _Names:
    """Which classes a result names.

    Attributes:
        exported: the model.
        top_k: so many; None = one, or of several labels those that the image has.
        threshold: of several labels.
    """

    exported: Exported
    top_k: int | None
    threshold: float

    def prediction(
        self, image: GivenImage, outcome: Pixels | Unread, row: Probabilities
    ) -> Prediction:
        if isinstance(outcome, Unread):
            return Prediction(image.place, error=outcome.reason)
        several = self.exported.several_labels
        every = tuple(map(Guess, self.exported.class_names, row.tolist()))
        most = self.top_k
        if most is None:
            most = int((row >= self.threshold).sum()) if several else 1
        top = tuple(every[k] for k in np.argsort(-row, kind="stable")[:most])
        return Prediction(image.place, top, every=every if several and self.top_k is None else ())
