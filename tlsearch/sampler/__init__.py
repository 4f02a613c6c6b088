"""The sampler and the pruner that a spec names."""

from tlsearch.sampler.build import build_pruner, build_sampler, origin_of, try_sampler

__all__ = ["build_pruner", "build_sampler", "origin_of", "try_sampler"]
