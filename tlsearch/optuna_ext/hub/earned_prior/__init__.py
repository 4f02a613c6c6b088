"""An Optuna sampler that follows a prior as long as the prior wins.

This folder is a package in the layout of OptunaHub's registry: it needs Optuna, NumPy and SciPy,
and nothing else of the project around it.
"""

from .prior import NormalPrior, draw
from .sampler import EarnedPriorSampler
from .scores import COMPONENT, PRIOR, TPE, UNIFORM, ComponentScores, earned_weight

__all__ = [
    "COMPONENT",
    "PRIOR",
    "TPE",
    "UNIFORM",
    "ComponentScores",
    "EarnedPriorSampler",
    "NormalPrior",
    "draw",
    "earned_weight",
]
