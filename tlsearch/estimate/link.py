"""Scores on a scale without ends, where a Gaussian process may model them.

Fractions become log odds, so that a process neither leaves 0 to 1 nor takes a point at 98 % for as
much as one at 60 %. A log loss becomes its logarithm, so that it neither falls below 0 nor takes
0.01 at 0.1 for as much as at 2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlsearch.records.objective import Objective, figure_of, is_minimised, score_of

Array = NDArray[np.float64]

_LEAST = 1e-12  # nats: no loss that outputs can have is smaller and above 0


@dataclass(frozen=True, slots=True, eq=False)
class Linked:
    """Scores of trials on a scale without ends; larger is better.

    Attributes:
        values: (trials,).
        noise: variances of the values by the validation images, (trials,).
        back: returns the scores of values.
    """

    values: Array
    noise: Array
    back: Callable[[Array], Array]


def linked_accuracies(accuracies: Array, n_val: int) -> Linked:
    """Link shares of n images: log odds with half a success and half a failure more.

    The noise is what n images leave open, 1 / (n p (1 - p)).
    """
    smoothed = _smoothed(accuracies, n_val)
    return Linked(_log_odds(smoothed), 1 / (n_val * smoothed * (1 - smoothed)), _from_log_odds)


def linked_scores(
    objective: Objective, scores: Array, errors: Sequence[float | None], n_val: int
) -> Linked:
    """Link scores with their standard errors, which become those of the values (delta method).

    Args:
        objective: any but accuracy.
        scores: (trials,).
        errors: of the scores; None where that is not known: that of a share of n images.
        n_val: validation images.
    """
    if is_minimised(objective):
        losses = np.maximum(figure_of(objective, 1) * scores, _LEAST)
        known = np.array([_or(e, p / np.sqrt(n_val)) for e, p in zip(errors, losses, strict=True)])
        return Linked(-np.log(losses), (known / losses) ** 2, lambda v: _negative(objective, v))
    p = _smoothed(scores, n_val)
    of_share = np.sqrt(p * (1 - p) / n_val)
    known = np.array([_or(e, share) for e, share in zip(errors, of_share, strict=True)])
    noise = np.maximum(known, 1 / (n_val + 1)) / (p * (1 - p))
    return Linked(_log_odds(p), noise**2, _from_log_odds)


def _negative(objective: Objective, values: Array) -> Array:
    found: Array = score_of(objective, 1) * np.exp(-values)
    return found


def _or(error: float | None, otherwise: float) -> float:
    return otherwise if error is None or error <= 0 else error


def _smoothed(fractions: Array, n_val: int) -> Array:
    found: Array = (fractions * n_val + 0.5) / (n_val + 1)
    return found


def _log_odds(fractions: Array) -> Array:
    found: Array = np.log(fractions / (1 - fractions))
    return found


def _from_log_odds(values: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-values))
    return found
