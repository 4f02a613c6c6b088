"""The trials that are queued for a prior."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tlsearch.records import Hyperparameters, Prior, QueuedTrial
from tlsearch.space import SearchSpace

if TYPE_CHECKING:
    from tlsearch.optuna_ext.earned_prior import NormalPrior

_DRAWS = 7_919  # keeps these generators apart from the sampler's


def normal_priors(prior: Prior) -> "dict[str, NormalPrior]":
    """Return the prior as `EarnedPriorSampler` takes it."""
    from tlsearch.optuna_ext.earned_prior import NormalPrior  # loads SciPy

    return {name: NormalPrior(b.mode, b.spread) for name, b in prior.beliefs.items()}


def starting_trials(prior: Prior, space: SearchSpace, n_draws: int, seed: int) -> list[QueuedTrial]:
    """Return the trials to queue beside the plain default, in the order in which they should run.

    These are the prior's mode, the same with no layer reinitialised (where the space has that),
    plain fine-tuning at the highest useful rate with two random layers, the opposite mode in case
    the measures point the wrong way, and draws from the prior. The sampler counts mode and draws
    as trials of the prior when it decides how far to follow it.

    Args:
        prior: the prior.
        space: of the study.
        n_draws: number of draws.
        seed: of the study; the same seed gives the same draws.
    """
    from tlsearch.optuna_ext.earned_prior import COMPONENT, PRIOR

    ours = {COMPONENT: PRIOR}
    draws = [_drawn(prior, space, np.random.default_rng([_DRAWS, seed, n])) for n in range(n_draws)]
    from_probe = replace(prior.mode, reinit_layers=0)
    allowed = space.ranges["reinit_layers"].low == 0 != prior.mode.reinit_layers
    return [
        QueuedTrial(prior.mode, "prior", ours),
        *([QueuedTrial(from_probe, "from_probe")] if allowed else []),
        QueuedTrial(_at_range_rate(prior, space), "range_rate"),
        QueuedTrial(prior.opposite, "opposite"),
        *(QueuedTrial(hyperparameters, "draw", ours) for hyperparameters in draws),
    ]


def most_starting_trials(space: SearchSpace, n_draws: int) -> int:
    """Return how many trials `starting_trials` returns at most, before there is a prior."""
    from_probe = space.ranges["reinit_layers"].low == 0
    return 3 + from_probe + n_draws  # the mode, range_rate, opposite


def _at_range_rate(prior: Prior, space: SearchSpace) -> Hyperparameters:
    """Return plain fine-tuning with two random layers at the highest useful rate.

    In short trainings the rate decides nearly everything (docs/search.md).
    """
    nearest = {name: found.nearest for name, found in space.ranges.items()}
    return replace(
        space.plain_default(),
        reinit_layers=int(nearest["reinit_layers"](2)),
        high_lr=nearest["high_lr"](prior.lr_scale),
    )


def _drawn(prior: Prior, space: SearchSpace, generator: np.random.Generator) -> Hyperparameters:
    from tlsearch.optuna_ext.earned_prior import draw

    normals = normal_priors(prior)
    return Hyperparameters.from_dict(
        {
            name: found.low if found.single() else draw(normals[name], found, generator)
            for name, found in space.distributions().items()
        }
    )
