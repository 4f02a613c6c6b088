"""The sampler and the pruner that a spec names."""

from tlsearch.sampler.build import build_sampler, origin_of
from tlsearch.sampler.grid import GRID, GridState, grid_points, grid_state
from tlsearch.sampler.pruner import build_pruner
from tlsearch.sampler.try_out import try_sampler

__all__ = [
    "GRID",
    "GridState",
    "build_pruner",
    "build_sampler",
    "grid_points",
    "grid_state",
    "origin_of",
    "try_sampler",
]
