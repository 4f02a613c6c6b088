"""Which trials are near the settings that the paper's experiments had.

A search rarely tries the paper's settings exactly. These functions say which trials are near
enough to speak for one; the limits are ours.
"""

from collections.abc import Callable, Sequence

from tlsearch.prior import STRENGTH_UNIT
from tlsearch.report.page.facts import FineTuned
from tlsearch.space import SearchSpace

NEAR_ONE_RATE = 0.5  # a low rate of at least this share of the high one counts as one rate
FEW_LAYERS, PULLED_LAYERS = 0.2, 0.25  # shares of the body that a treatment has to cover
MOST_LAYERS = 0.9  # of the layers that keep their weights: counts as all
WEAK_ALPHA = 1e-3  # L2-SP below this is hardly felt (the paper's alphas: .0001 to .01)

Is = Callable[[FineTuned], bool]


def has_one_rate(trial: FineTuned) -> bool:
    """Whether all layers have about the same rate."""
    return trial.params.low_layers == 0 or trial.params.low_lr_ratio >= NEAR_ONE_RATE


def has_low_rates(space: SearchSpace) -> Is:
    """Return whether a fifth of the body or more has at most half the rate."""
    least = FEW_LAYERS * space.n_body_layers
    return lambda t: t.params.low_layers >= least and t.params.low_lr_ratio <= NEAR_ONE_RATE


def is_pulled(space: SearchSpace) -> Is:
    """Return whether L2-SP of some strength acts on a quarter of the body or more."""
    least, weak = PULLED_LAYERS * space.n_body_layers, weak_alpha(space)
    return lambda t: t.params.l2sp_layers >= least and t.params.alpha >= weak


def is_pulled_whole(space: SearchSpace) -> Is:
    """Return whether L2-SP acts on (nearly) all layers that keep their weights."""
    body = space.n_body_layers
    return lambda t: (
        t.params.l2sp_layers >= MOST_LAYERS * min(body, body + 1 - t.params.reinit_layers)
    )


def has_new_layers(trial: FineTuned) -> bool:
    """Whether more than the classifier starts from random weights."""
    return trial.params.reinit_layers >= 2


def is_plain(trial: FineTuned) -> bool:
    """Whether it is just plain fine-tuning: a new classifier, one rate for all, no L2-SP."""
    params = trial.params
    return params.reinit_layers <= 1 and params.low_layers == 0 and params.l2sp_layers == 0


def weak_alpha(space: SearchSpace) -> float:
    """Return the strength below which L2-SP is hardly felt; AdamW's are ten times SGD's."""
    return WEAK_ALPHA * STRENGTH_UNIT[space.optimizer]


def best_of(trials: Sequence[FineTuned]) -> FineTuned | None:
    """Return the best trial, the earliest among equals."""
    return max(trials, key=lambda trial: (trial.score, -trial.number), default=None)
