"""What a search makes best: one of five figures on the validation images.

Inside, an objective is a score: larger is better, whatever the figure. The score of `log_loss` is
the figure times -1, that of the others the figure itself; `score_of` and `figure_of` are the only
places that know (docs/decisions/0024-objectives.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from tlsearch.records.format import expected_percent, percent, points, val_percent

Objective = Literal[
    "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "mean_average_precision"
]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
ACCURACY: Objective = "accuracy"
MEAN_AVERAGE_PRECISION: Objective = "mean_average_precision"
# Those that an image of one label allows, and one of several.
OF_ONE_LABEL: tuple[Objective, ...] = OBJECTIVES[:4]
OF_SEVERAL_LABELS: tuple[Objective, ...] = (MEAN_AVERAGE_PRECISION, "macro_f1", "log_loss")
THRESHOLD = 0.5  # of several labels an image is predicted to have those with this probability
# User attributes of trials. Those of accuracy have none but the figures.
OBJECTIVE = "objective"
SCORE_ERROR = "score_error"
MEAN_SCORE, LEAD_ERROR = "mean_score_with_fixed_features", "lead_error_over_fixed_features"

_MINIMISED = frozenset({"log_loss"})
_WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "mean_average_precision": "mean average precision",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """How good predictions are on the validation images.

    Attributes:
        accuracy: top-1, a fraction; of several labels an image the share of images all of whose
            labels are right.
        balanced_accuracy: mean recall of the classes that have images, a fraction; None where an
            image has several labels.
        macro_f1: mean F1 of the classes that have images or are predicted, a fraction.
        log_loss: mean negative logarithm of the probability of the true class, nats; of several
            labels the mean over the classes of that of each answer.
        mean_average_precision: mean over the classes that have images, a fraction; None where an
            image has one label.
    """

    accuracy: float
    balanced_accuracy: float | None
    macro_f1: float
    log_loss: float
    mean_average_precision: float | None = None

    def as_attrs(self) -> dict[str, float]:
        """Return the user attributes of a trial that hold them."""
        named = ((attr(name), getattr(self, name)) for name in OBJECTIVES)
        return {name: figure for name, figure in named if figure is not None}


def attr(objective: Objective) -> str:
    """Return the name of a figure on the validation images: `val_log_loss`."""
    return f"val_{objective}"


def accuracy_or_precision(*, several: bool) -> Objective:
    """Return accuracy, or where images have several labels mean average precision."""
    return MEAN_AVERAGE_PRECISION if several else ACCURACY


def score_of(objective: Objective, figure: float) -> float:
    """Return the score of a figure: larger is better."""
    return -figure if objective in _MINIMISED else figure


def figure_of(objective: Objective, score: float) -> float:
    """Return the figure of a score, in its own unit."""
    return -score if objective in _MINIMISED else score


def figure_or_none(objective: Objective, score: float | None) -> float | None:
    """Return the figure of a score; None of None."""
    return None if score is None else figure_of(objective, score)


def is_minimised(objective: Objective) -> bool:
    """Whether a smaller figure is better."""
    return objective in _MINIMISED


def metric_name(objective: Objective) -> str:
    """Return what Optuna and its dashboard call the value of a trial: `neg_log_loss`."""
    return f"neg_{objective}" if objective in _MINIMISED else attr(objective)


def words(objective: Objective) -> str:
    """Return the objective for people: `balanced accuracy`."""
    return _WORDS[objective]


def shown(objective: Objective, score: float | None) -> str:
    """Return the figure of a score for people: `91.2 %`, of a log loss `0.412`; `-` for None."""
    if objective not in _MINIMISED or score is None:
        return percent(score)
    return f"{figure_of(objective, score):.3f}"


def val_words(
    objective: Objective, score: float | None, accuracy: float | None, train_on: str = "train"
) -> str:
    """Return `91.2 %`, or `log loss 0.412, accuracy 91.2 %`; it says where val was trained on."""
    if objective == ACCURACY:
        return val_percent(score, train_on)
    text = f"{words(objective)} {shown(objective, score)}"
    if accuracy is None:
        return text if train_on == "train" or score is None else f"{text} (trained on)"
    return f"{text}, accuracy {val_percent(accuracy, train_on)}"


def shown_with_sd(objective: Objective, score: float | None, sd: float | None) -> str:
    """Return the figure and its standard deviation for people; `-` for None."""
    if objective not in _MINIMISED or score is None or sd is None:
        return expected_percent(score, sd)
    return f"{figure_of(objective, score):.3f} ± {sd:.3f}"


def shown_width(objective: Objective, sd: float) -> str:
    """Return a standard deviation of scores for people: `1.2 %`, of a log loss `0.034`."""
    return percent(sd) if objective not in _MINIMISED else f"{sd:.3f}"


def signed_gain(objective: Objective, gain: float) -> str:
    """Return a difference of two scores as `+1.2`, in points; of a log loss as `+0.034`."""
    return f"{100 * gain:+.1f}" if objective not in _MINIMISED else f"{gain:+.3f}"


def gain_unit(objective: Objective) -> str:
    """Return what differences of two scores are counted in: ` points`, or nothing."""
    return " points" if objective not in _MINIMISED else ""


def shown_gain(objective: Objective, gain: float) -> str:
    """Return a difference of two scores for people, without its sign: `1.2 points`."""
    return points(gain) if objective not in _MINIMISED else f"{abs(gain):.3f}"


def plot_factor(objective: Objective) -> float:
    """Return by what a score is multiplied on an axis: per cent, or the figure itself."""
    return 100.0 if objective not in _MINIMISED else score_of(objective, 1.0)


def axis_label(objective: Objective) -> str:
    """Return the label of an axis of `plot_factor` times scores."""
    unit = "%" if objective not in _MINIMISED else "nats"
    return f"validation {words(objective)}, {unit}"


@dataclass(frozen=True, slots=True)
class OwnScore:
    """How good a trial is by an objective other than accuracy.

    Attributes:
        objective: its name.
        score: of the last reported epoch; None before the first.
        error: its standard error by the validation images; None where that is not known.
        expected: what its hyperparameters should reach on new images, a score; None until a
            worker has computed it.
        expected_sd: standard deviation of that.
        mean_with_fixed_features: score of the mean of its probabilities and those of fixed
            features; None where that is not known.
        lead_error: standard error of its lead over fixed features; None likewise.
    """

    objective: Objective
    score: float | None = None
    error: float | None = None
    expected: float | None = None
    expected_sd: float | None = None
    mean_with_fixed_features: float | None = None
    lead_error: float | None = None


def objective_in(attrs: Mapping[str, object]) -> Objective:
    """Return the objective that a trial's user attributes name; without one it is accuracy."""
    found = attrs.get(OBJECTIVE)
    return next((name for name in OBJECTIVES if name == found), ACCURACY)
