"""What models reach on the test images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from tlsearch.records.format import percent
from tlsearch.records.html import html_table
from tlsearch.records.objective import Objective, accuracy_or_precision, words

Prediction = Literal[
    "single crop", "10-crop", "ensemble", "ensemble, 10-crop", "uniform soup", "greedy soup"
]


@dataclass(frozen=True, slots=True)
class TestFigure:
    """A finalist on the test images, predicted in one way.

    Attributes:
        finalist: its name, as in `Finals`; `mean` is fixed features and the winner together.
        prediction: how its models predict.
        accuracies: top-1 of each seed's model, fractions; one figure for an ensemble or a soup. Of
            several labels an image: the share of images all of whose labels are right.
        mean: their mean; of several labels the mean of `average_precisions`, and so are the next.
        sd: their standard deviation; None for one figure.
        low, high: 95 % interval of the mean.
        balanced_accuracy: mean recall of the classes, a fraction (mean over seeds); None of several
            labels.
        macro_f1: mean F1 of the classes (mean over seeds).
        log_loss: in nats (mean over seeds).
        ece: expected calibration error, a fraction (mean over seeds).
        ece_scaled: the same after temperature scaling on the validation images; None where they
            were trained on.
        temperature: of that scaling.
        passes: forward passes an image: the cost at inference.
        seconds_per_image: measured here.
        average_precisions: of several labels an image: the mean average precision of each seed's
            model, fractions; empty otherwise.
    """

    __test__ = False  # pytest: this is no test

    finalist: str
    prediction: Prediction
    accuracies: tuple[float, ...]
    mean: float
    sd: float | None
    low: float
    high: float
    balanced_accuracy: float | None
    macro_f1: float
    log_loss: float
    ece: float
    ece_scaled: float | None
    temperature: float | None
    passes: int
    seconds_per_image: float
    average_precisions: tuple[float, ...] = ()

    @property
    def each(self) -> tuple[float, ...]:
        """The figures whose mean is `mean`."""
        return self.average_precisions or self.accuracies


@dataclass(frozen=True, slots=True)
class ClassFigure:
    """A class in the test images, as the recommended answer predicts it (single crop).

    Attributes:
        name: of the class.
        n: test images of it.
        recall, precision, f1: fractions; `precision` is None where it is never predicted, `recall`
            where there is no image of it.
        average_precision: of several labels an image, a fraction; None otherwise, and without one.
    """

    name: str
    n: int
    recall: float | None
    precision: float | None
    f1: float
    average_precision: float | None = None


@dataclass(frozen=True, slots=True)
class WrongImage:
    """A test image on which the recommended answer was most certain and wrong.

    Attributes:
        image: its name in the data.
        label, predicted: names of classes; of several labels all of them, with commas.
        probability: of the predicted class; of several labels of the most certain wrong answer.
    """

    image: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class TestGain:
    """The recommended answer beside another finalist on the same test images, paired.

    Attributes:
        other: the other's name.
        gain: difference of accuracies, a fraction (mean over seeds).
        low, high: 95 % interval.
        p_value: two-sided.
    """

    __test__ = False

    other: str
    gain: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class TestResult:
    """One look at the test images.

    Attributes:
        study: the name of the search.
        look: 1 for the first; a later one is no longer an honest figure, and says so for good.
        at: when, with its time zone.
        n_test: test images.
        answer: name of the finalist that was recommended before the test.
        trained_on: what the models were trained on.
        seeds: of the models.
        figures: every finalist that was tested, in every way.
        gains: of the answer over the others, single crop.
        classes: of the answer.
        confusion: of the answer, images by label (row) and prediction (column); each image counts
            once for each of its models. Empty where images have several labels.
        most_wrong: the answer's worst mistakes, the most certain first.
        images_sha256: of the content of the test images; empty where it is not known.
    """

    __test__ = False

    study: str
    look: int
    at: datetime
    n_test: int
    answer: str
    trained_on: Literal["train", "train+val"]
    seeds: tuple[int, ...]
    figures: tuple[TestFigure, ...]
    gains: tuple[TestGain, ...]
    classes: tuple[ClassFigure, ...]
    confusion: tuple[tuple[int, ...], ...]
    most_wrong: tuple[WrongImage, ...]
    images_sha256: str = ""

    @property
    def objective(self) -> Objective:
        """What the means and gains are of."""
        several = any(figure.average_precisions for figure in self.figures)
        return accuracy_or_precision(several=several)

    @property
    def is_first(self) -> bool:
        """Whether nobody had seen a test figure of this study before."""
        return self.look == 1

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `from_dict` reads them."""
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TestResult":
        """Read what `as_dict` wrote, also after JSON, which has lists in the place of tuples."""
        figures = (
            TestFigure(
                **{
                    **each,
                    "accuracies": tuple(each["accuracies"]),
                    "average_precisions": tuple(each.get("average_precisions", ())),
                }
            )
            for each in values["figures"]
        )
        records = {
            "at": datetime.fromisoformat(values["at"]),
            "seeds": tuple(values["seeds"]),
            "figures": tuple(figures),
            "gains": tuple(TestGain(**each) for each in values["gains"]),
            "classes": tuple(ClassFigure(**each) for each in values["classes"]),
            "confusion": tuple(tuple(row) for row in values["confusion"]),
            "most_wrong": tuple(WrongImage(**each) for each in values["most_wrong"]),
        }
        return cls(**{**values, **records})

    def figure(self, finalist: str, prediction: Prediction = "single crop") -> TestFigure | None:
        """Return the figure of a finalist that is predicted in one way; None where it has none."""
        wanted = (finalist, prediction)
        return next((f for f in self.figures if (f.finalist, f.prediction) == wanted), None)

    def _repr_html_(self) -> str:
        """Return the figures as a table for notebooks."""
        rows = [("finalist", "predicted from", "models", words(self.objective), "95 % interval")]
        rows += [
            (
                each.finalist,
                each.prediction,
                str(len(each.accuracies)),
                percent(each.mean),
                f"{100 * each.low:.1f} to {100 * each.high:.1f}",
            )
            for each in self.figures
        ]
        look = "looked at once" if self.is_first else f"look {self.look}: no longer honest"
        return html_table(rows, f"{self.study}: {self.n_test} test images, {look}")
