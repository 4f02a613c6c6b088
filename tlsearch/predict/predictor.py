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
        top_k: int = 1,
        batch_size: int = BATCH_SIZE,
    ) -> Predictions:
        """Classify images; one that cannot be read is named by its `error`, the others go on.

        Args:
            images: paths, Pillow images and uint8 arrays (height, width, 3), mixed, one or
                several; a folder stands for all images in it, sorted.
            top_k: how many classes each result names.
            batch_size: images that go through the network at a time.

        Returns:
            The results in the order of the images.

        Raises:
            DataError: something is no image by its type or shape, or a folder has none.
            MemoryShortage: there is too little memory.
        """
        parts = list(self.batches(given_images(images), top_k=top_k, batch_size=batch_size))
        none = np.empty((0, len(self.class_names)), np.float32)
        return Predictions(
            tuple(each for part in parts for each in part),
            np.concatenate([none, *(part.probabilities for part in parts)]),
            self.class_names,
        )

    def batches(
        self, images: Sequence[GivenImage], *, top_k: int = 1, batch_size: int = BATCH_SIZE
    ) -> Iterator[Predictions]:
        """Yield the results batch by batch; see `predict`."""
        if top_k < 1 or batch_size < 1:
            raise InputError(f"top_k = {top_k} and batch_size = {batch_size} must be 1 or more")
        for start in range(0, len(images), batch_size):
            yield self._batch(images[start : start + batch_size], top_k)

    def _batch(self, images: Sequence[GivenImage], top_k: int) -> Predictions:
        outcomes = crops_of(list(images), self.exported.preprocessing)
        probabilities = np.full((len(images), len(self.class_names)), np.nan, np.float32)
        crops = [each for each in outcomes if not isinstance(each, Unread)]
        if crops:
            inputs = normalised(crops, self.exported.preprocessing)
            read = [not isinstance(each, Unread) for each in outcomes]
            probabilities[read] = self.model.probabilities(inputs)
        rows = zip(images, outcomes, probabilities, strict=True)
        items = tuple(self._prediction(*row, top_k) for row in rows)
        return Predictions(items, probabilities, self.class_names)

    def _prediction(
        self, image: GivenImage, outcome: Pixels | Unread, row: Probabilities, top_k: int
    ) -> Prediction:
        if isinstance(outcome, Unread):
            return Prediction(image.place, error=outcome.reason)
        order = np.argsort(-row, kind="stable")[:top_k]
        top = tuple(Guess(self.class_names[k], float(row[k])) for k in order)
        return Prediction(image.place, top)
