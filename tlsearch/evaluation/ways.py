"""The ways in which the models of one finalist predict, each with its figures and its cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from tlsearch.evaluation.calibration import (
    Labels,
    calibration_error,
    fit_temperature,
    tempered,
)
from tlsearch.evaluation.combine import Probabilities, ensemble
from tlsearch.evaluation.drawn import drawn_interval
from tlsearch.evaluation.intervals import interval_of
from tlsearch.evaluation.metrics import metrics_of
from tlsearch.evaluation.predict import CropPredictions
from tlsearch.finetune.mean import mean_of
from tlsearch.measures import per_image
from tlsearch.measures import right_of as right_by
from tlsearch.records.objective import MEAN_AVERAGE_PRECISION
from tlsearch.records.tested import Prediction, TestFigure


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """What one model predicts for the test images, and for the validation images.

    Attributes:
        test: the test images.
        val: the validation images, for the temperature; None where they were trained on.
    """

    test: CropPredictions
    val: CropPredictions | None


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way of predicting.

    Attributes:
        prediction: what it is called.
        test: float64 (n_test, n_classes) of each model; one for an ensemble or a soup.
        val: the same of the validation images; empty where they were trained on.
        passes: forward passes an image.
        seconds: an image.
    """

    prediction: Prediction
    test: Sequence[Probabilities]
    val: Sequence[Probabilities]
    passes: int
    seconds: float


def ways_of(models: Sequence[Predicted]) -> Iterator[Way]:
    """Yield single crop and 10-crop of some models, and of more than one their ensemble."""
    tests = [model.test for model in models]
    vals = [model.val for model in models if model.val is not None]
    passes = tests[0].passes
    one, several = [t.single for t in tests], [t.several for t in tests]
    val_one, val_several = [v.single for v in vals], [v.several for v in vals]
    seconds_one = [test.seconds_single for test in tests]
    seconds_several = [test.seconds_several for test in tests]
    yield Way("single crop", one, val_one, 1, fmean(seconds_one))
    yield Way("10-crop", several, val_several, passes, fmean(seconds_several))
    if len(models) > 1:
        n = len(models)
        yield Way("ensemble", *_together(one, val_one), n, sum(seconds_one))
        yield Way(
            "ensemble, 10-crop",
            *_together(several, val_several),
            n * passes,
            sum(seconds_several),
        )


def ways_beside(
    fixed: Predicted, models: Sequence[Predicted], *, several: bool = False
) -> Iterator[Way]:
    """Yield the same of the geometric means of fixed features and each model.

    Fixed features are one model, so they cost an ensemble no more than one mean. Where an image has
    several labels, the mean is that of log odds.
    """
    means = [_beside(fixed, model, several=several) for model in models]
    for way, plain in zip(ways_of(means), ways_of(models), strict=True):
        several = "10-crop" in way.prediction
        seconds = fixed.test.seconds_several if several else fixed.test.seconds_single
        passes = fixed.test.passes if several else 1
        yield replace(way, passes=plain.passes + passes, seconds=plain.seconds + seconds)


def figure_of(finalist: str, way: Way, labels: Labels, val_labels: Labels) -> TestFigure:
    """Return the figures of a finalist that is predicted in one way.

    Args:
        finalist: its name.
        way: its predictions.
        labels: (n_test,) of the test images; of several labels (n_test, n_classes).
        val_labels: (n_val,) of the validation images, likewise.
    """
    several = labels.ndim == 2
    each = [metrics_of(probabilities, labels) for probabilities in way.test]
    accuracies = tuple(metrics.accuracy for metrics in each)
    precisions = tuple(m for metrics in each if (m := metrics.mean_average_precision) is not None)
    interval = (
        drawn_interval(way.test, labels) if several else interval_of(right_of(way.test, labels))
    )
    balanced = [m for metrics in each if (m := metrics.balanced_accuracy) is not None]
    own = precisions or accuracies
    temperatures = [fit_temperature(probabilities, val_labels) for probabilities in way.val]
    return TestFigure(
        finalist=finalist,
        prediction=way.prediction,
        accuracies=accuracies,
        mean=interval.mean,
        sd=stdev(own) if len(own) > 1 else None,
        low=interval.low,
        high=interval.high,
        balanced_accuracy=fmean(balanced) if balanced else None,
        macro_f1=fmean(metrics.macro_f1 for metrics in each),
        log_loss=fmean(metrics.log_loss for metrics in each),
        ece=fmean(metrics.ece for metrics in each),
        ece_scaled=_ece_scaled(way.test, temperatures, labels) if temperatures else None,
        temperature=fmean(temperatures) if temperatures else None,
        passes=way.passes,
        seconds_per_image=way.seconds,
        average_precisions=precisions,
    )


def right_of(members: Sequence[Probabilities], labels: Labels) -> NDArray[np.bool_]:
    """Return whether each model is right on each image, bool (n_models, n)."""
    right: NDArray[np.bool_] = np.stack([right_by(each, labels) for each in members])
    return right


def worth_of(
    members: Sequence[Probabilities], labels: Labels
) -> NDArray[np.bool_] | NDArray[np.float64]:
    """Return what each image is worth to each model (n_models, n), to compare models by.

    It is whether it is right, or of several labels an image what it adds to mean average precision.
    """
    if labels.ndim == 1:
        return right_of(members, labels)
    return np.stack([per_image(MEAN_AVERAGE_PRECISION, each, labels) for each in members])


def _ece_scaled(
    members: Sequence[Probabilities], temperatures: Sequence[float], labels: Labels
) -> float:
    return fmean(
        calibration_error(tempered(probabilities, temperature, several=labels.ndim == 2), labels)
        for probabilities, temperature in zip(members, temperatures, strict=True)
    )


def _together(
    test: Sequence[Probabilities], val: Sequence[Probabilities]
) -> tuple[list[Probabilities], list[Probabilities]]:
    return [ensemble(test)], [ensemble(val)] if val else []


def _beside(fixed: Predicted, model: Predicted, *, several: bool) -> Predicted:
    val = None
    if fixed.val is not None and model.val is not None:
        val = _geometric(fixed.val, model.val, several=several)
    return Predicted(_geometric(fixed.test, model.test, several=several), val)


def _geometric(fixed: CropPredictions, model: CropPredictions, *, several: bool) -> CropPredictions:
    mean = partial(_mean, several=several)
    return replace(
        model,
        single=mean(fixed.single, model.single),
        several=mean(fixed.several, model.several),
    )


def _mean(fixed: Probabilities, model: Probabilities, *, several: bool) -> Probabilities:
    both = fixed.astype(np.float32), model.astype(np.float32)
    mean = mean_of(*both, several=several).astype(np.float64)
    rows: Probabilities = mean if several else mean / mean.sum(axis=1, keepdims=True)
    return rows
