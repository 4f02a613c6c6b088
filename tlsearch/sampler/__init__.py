"""What to try next, and when to stop a trial: samplers and pruners."""

from tlsearch.sampler.build import build_pruner, build_sampler, origin_of, try_sampler
from tlsearch.sampler.earned_prior import COMPONENT, PRIOR, EarnedPriorSampler, NormalPrior
from tlsearch.sampler.percentile import IncrementalPercentilePruner
from tlsearch.sampler.seeded import SeededPerTrialSampler
from tlsearch.sampler.thinned import ThinnedTPESampler

__all__ = [
    "COMPONENT",
    "PRIOR",
    "EarnedPriorSampler",
    "IncrementalPercentilePruner",
    "NormalPrior",
    "SeededPerTrialSampler",
    "ThinnedTPESampler",
    "build_pruner",
    "build_sampler",
    "origin_of",
    "try_sampler",
]
