"""What models are worth on images that nothing was chosen by: predictions, figures, intervals."""

from tlsearch.evaluation.calibration import (
    calibration_error,
    fit_temperature,
    tempered,
)
from tlsearch.evaluation.combine import Probabilities, ensemble
from tlsearch.evaluation.intervals import Gain, Interval, gain_of, interval_of
from tlsearch.evaluation.metrics import (
    ClassMetrics,
    Metrics,
    class_metrics,
    confusion_of,
    metrics_of,
    most_wrong,
)
from tlsearch.evaluation.predict import CropPredictions, predict
from tlsearch.evaluation.soups import Soup, greedy_soup, recalibrated, uniform_soup

__all__ = [
    "ClassMetrics",
    "CropPredictions",
    "Gain",
    "Interval",
    "Metrics",
    "Probabilities",
    "Soup",
    "calibration_error",
    "class_metrics",
    "confusion_of",
    "ensemble",
    "fit_temperature",
    "gain_of",
    "greedy_soup",
    "interval_of",
    "metrics_of",
    "most_wrong",
    "predict",
    "recalibrated",
    "tempered",
    "uniform_soup",
]
