"""Puts together what was predicted of the test images: figures, gains, classes, mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from tlsearch.data import ImageRef
from tlsearch.evaluation import (
    Probabilities,
    Way,
    class_metrics,
    class_metrics_of_several,
    confusion_of,
    ensemble,
    figure_of,
    most_wrong,
    right_of,
    worth_of,
    wrong_shares,
)
from tlsearch.measures import as_predicted
from tlsearch.records import PredictedLabel, TrainOn
from tlsearch.records.format import LABEL_SEPARATOR
from tlsearch.records.objective import THRESHOLD
from tlsearch.records.tested import ClassFigure, TestGain, TestResult, WrongImage
from tlsearch.report.paired import paired_gain

MOST_WRONG = 24  # images that are kept and drawn
_PREDICTIONS = (
    "image", "label", "predicted", "right", "probability", "probability_of_label", "models_right",
    "models",
)  # fmt: skip

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A finalist that was tried on the test images.

    Attributes:
        name: of the finalist.
        seeds: of its models.
        ways: in which it predicts, single crop first.
    """

    name: str
    seeds: tuple[int, ...]
    ways: tuple[Way, ...]

    @property
    def single(self) -> Sequence[Probabilities]:
        """What each model predicts from the evaluation crop, (n_test, n_classes)."""
        return self.ways[0].test

    def of_seeds(self, seeds: Sequence[int]) -> list[Probabilities]:
        """Return the same of some seeds; of all where it is one model alone."""
        if len(self.seeds) == 1:
            return list(self.single)
        return [self.single[self.seeds.index(seed)] for seed in seeds]


@dataclass(frozen=True, slots=True, eq=False)
class TestTables:
    """All that one look at the test images gives, and what it is said of.

    Attributes:
        study: the name of the search.
        trained_on: what the models were trained on.
        answer: the finalist that was recommended before the test.
        others: the others that were tried.
        class_names: by class index.
        refs: the test images, in order.
        labels: of the test images, (n,); of several labels an image (n, n_classes).
        val_labels: of the validation images, likewise.
        images_sha256: of the content of the test images.
    """

    __test__ = False

    study: str
    trained_on: TrainOn
    answer: Tried
    others: tuple[Tried, ...]
    class_names: tuple[str, ...]
    refs: tuple[ImageRef, ...]
    labels: Labels
    val_labels: Labels
    images_sha256: str

    def result(self) -> TestResult:
        """Return the record of this look; its number is given when it is written."""
        return TestResult(
            study=self.study,
            look=1,
            at=datetime.now(UTC),
            n_test=len(self.refs),
            answer=self.answer.name,
            trained_on=self.trained_on,
            seeds=self.answer.seeds,
            figures=tuple(
                figure_of(tried.name, way, self.labels, self.val_labels)
                for tried in (self.answer, *self.others)
                for way in tried.ways
            ),
            gains=tuple(map(self._gain, self.others)),
            classes=self._classes(),
            confusion=() if self.several else tuple(map(tuple, self._confusion().tolist())),
            most_wrong=tuple(wrong for _, wrong in self.most_wrong()),
            images_sha256=self.images_sha256,
        )

    @property
    def together(self) -> Probabilities:
        """Mean of what the answer's models predict from the evaluation crop."""
        return ensemble(self.answer.single)

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return self.labels.ndim == 2

    def most_wrong(self) -> list[tuple[int, WrongImage]]:
        """Return the answer's worst mistakes, each with the place of its image."""
        shares, labels = self.together, as_predicted(self.labels)
        said = self._said()
        certain = wrong_shares(shares, self.labels) if self.several else shares.max(axis=1)
        return [
            (
                place,
                WrongImage(
                    image=self.refs[place].name,
                    label=self._names(labels[place]),
                    predicted=self._names(said[place]),
                    probability=float(certain[place]),
                ),
            )
            for place in most_wrong(shares, self.labels, MOST_WRONG)
        ]

    def predictions(self) -> list[list[object]]:
        """Return a heading, and a row an image: what it is, and what the answer predicts."""
        right = right_of(self.answer.single, self.labels).sum(axis=0).tolist()
        if self.several:
            return self._predictions_of_several(right)
        rows: list[list[object]] = [list(_PREDICTIONS)]
        for ref, label, row, hits in zip(self.refs, self.labels, self.together, right, strict=True):
            predicted = int(row.argmax())
            names = [self.class_names[label], self.class_names[predicted]]
            shares = [f"{row[predicted]:.6f}", f"{row[label]:.6f}"]
            is_right = int(predicted == label)
            rows.append([ref.name, *names, is_right, *shares, hits, len(self.answer.single)])
        return rows

    def _predictions_of_several(self, right: Sequence[int]) -> list[list[object]]:
        names, n_models = self.class_names, len(self.answer.single)
        head = ["image", "labels", "predicted", "right", "models_right", "models"]
        rows: list[list[object]] = [[*head, *(f"probability {name}" for name in names)]]
        labels, said = as_predicted(self.labels), self._said()
        for k, ref in enumerate(self.refs):
            both = [self._names(labels[k], LABEL_SEPARATOR), self._names(said[k], LABEL_SEPARATOR)]
            shares = [f"{share:.6f}" for share in self.together[k]]
            is_right = int(labels[k] == said[k])
            rows.append([ref.name, *both, is_right, right[k], n_models, *shares])
        return rows

    def _said(self) -> tuple[PredictedLabel, ...]:
        """Return what the answer predicts of each image."""
        shares = self.together
        if self.several:
            return as_predicted((shares >= THRESHOLD).astype(np.int64))
        return tuple(shares.argmax(axis=1).tolist())

    def _names(self, label: PredictedLabel, between: str = ", ") -> str:
        if isinstance(label, int):
            return self.class_names[label]
        none = "" if between == LABEL_SEPARATOR else "(none)"
        return between.join(self.class_names[k] for k in label) or none

    def _gain(self, other: Tried) -> TestGain:
        common = [seed for seed in self.answer.seeds if seed in other.seeds]
        ours = worth_of(self.answer.of_seeds(common), self.labels)
        theirs = worth_of(other.of_seeds(common), self.labels)
        if len(other.seeds) == 1:  # with each model of the answer
            ours = worth_of(self.answer.single, self.labels)
        elif len(self.answer.seeds) == 1:
            theirs = worth_of(other.single, self.labels)
        found = paired_gain(ours, theirs)
        return TestGain(other.name, found.gain, found.low, found.high, found.p_value)

    def _confusion(self) -> NDArray[np.int64]:
        each = [confusion_of(shares, self.labels) for shares in self.answer.single]
        summed: NDArray[np.int64] = np.sum(each, axis=0)
        return summed

    def _classes(self) -> tuple[ClassFigure, ...]:
        if self.several:
            images = self.labels.sum(axis=0).tolist()
            figures = class_metrics_of_several(self.answer.single, self.labels)
        else:
            images = np.bincount(self.labels, minlength=len(self.class_names)).tolist()
            figures = class_metrics(self._confusion())
        return tuple(
            ClassFigure(name, n, each.recall, each.precision, each.f1, each.average_precision)
            for name, n, each in zip(self.class_names, images, figures, strict=True)
        )
