"""A belief on one parameter, and draws from it."""

import math
from dataclasses import dataclass

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution
from scipy.special import ndtr, ndtri


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """A belief on one parameter: a normal distribution cut off at the parameter's range.

    Attributes:
        mode: its centre, in the parameter's own units.
        spread: its standard deviation, above 0; in decades where the parameter is searched on a
            logarithmic scale, else in the parameter's own units.
    """

    mode: float
    spread: float


def draw(
    prior: NormalPrior,
    distribution: FloatDistribution | IntDistribution,
    generator: np.random.Generator,
) -> float | int:
    """Draw from the prior cut off at the distribution's range.

    Args:
        prior: the belief.
        distribution: the range. A value on a step gets the mass half a step to both sides.
        generator: one uniform number is taken from it, or none where one value is left.

    Returns:
        A value of the distribution; an `int` for an `IntDistribution`.
    """
    low, mode, high = _on_its_scale(prior, distribution)
    value = min(max(_truncated_normal(low, mode, high, prior.spread, generator), low), high)
    value = 10**value if distribution.log else value
    if distribution.step is not None:
        n_steps = round((value - distribution.low) / distribution.step)
        value = distribution.low + n_steps * distribution.step
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def _on_its_scale(
    prior: NormalPrior, distribution: FloatDistribution | IntDistribution
) -> tuple[float, float, float]:
    """Return the lower end, the mode and the upper end, as decades on a logarithmic scale."""
    margin = distribution.step / 2 if distribution.step is not None else 0.0
    low, mode, high = distribution.low - margin, prior.mode, distribution.high + margin
    if distribution.log:
        low, mode, high = (math.log10(max(value, 1e-300)) for value in (low, mode, high))
    return low, mode, high


def _truncated_normal(
    low: float, mode: float, high: float, spread: float, generator: np.random.Generator
) -> float:
    """Draw by inverting the cumulative distribution between its values at both ends."""
    below, above = float(ndtr((low - mode) / spread)), float(ndtr((high - mode) / spread))
    if above > below:
        return mode + spread * float(ndtri(generator.uniform(below, above)))
    if low <= mode <= high:  # the spread is so wide that the density is flat
        return generator.uniform(low, high)
    return low if mode < low else high  # the mode is so far away that only the nearest end is left
