"""What models are worth on images that nothing was chosen by: predictions, figures, intervals."""

from tlsearch.evaluation.bench import Bench
from tlsearch.evaluation.calibration import (
    calibration_error,
    fit_temperature,
    tempered,
)
from tlsearch.evaluation.combine import Probabilities, ensemble
from tlsearch.evaluation.intervals import Interval, interval_of
from tlsearch.evaluation.metrics import (
    ClassMetrics,
    Metrics,
    class_metrics,
    class_metrics_of_several,
    confusion_of,
    metrics_of,
    most_wrong,
    wrong_shares,
)
from tlsearch.evaluation.predict import CropPredictions, predict
from tlsearch.evaluation.soups import Soup, greedy_soup, recalibrated, uniform_soup
from tlsearch.evaluation.ways import (
    Predicted,
    Way,
    figure_of,
    right_of,
    ways_beside,
    ways_of,
    worth_of,
)

__all__ = [
    "Bench",
    "ClassMetrics",
    "CropPredictions",
    "Interval",
    "Metrics",
    "Predicted",
    "Probabilities",
    "Soup",
    "Way",
    "calibration_error",
    "class_metrics",
    "class_metrics_of_several",
    "confusion_of",
    "ensemble",
    "figure_of",
    "fit_temperature",
    "greedy_soup",
    "interval_of",
    "metrics_of",
    "most_wrong",
    "predict",
    "recalibrated",
    "right_of",
    "tempered",
    "uniform_soup",
    "ways_beside",
    "ways_of",
    "worth_of",
    "wrong_shares",
]
