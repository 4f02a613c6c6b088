"""How much of a grid is left to try: a study whose sampler is Optuna's GridSampler ends with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from optuna.trial import FrozenTrial, TrialState

from tlsearch.spec import SamplerSpec

GRID = "GridSampler"  # of Optuna
_POINT = "grid_id"  # the system attribute in which GridSampler notes the point that it draws


@dataclass(frozen=True, slots=True)
class GridState:
    """How far a grid has been gone through.

    Attributes:
        points: of the whole grid.
        left: points that no trial has tried and no running trial tries or is about to draw.
        begun: trials of the study that are not waiting.
        waiting: trials in the queue.
        running: trials under way.
    """

    points: int
    left: int
    begun: int
    waiting: int
    running: int


def grid_points(spec: SamplerSpec) -> int | None:
    """Return how many points the grid of a spec has; None where it has no grid.

    Args:
        spec: the `[sampler]` table; one whose grid is malformed has none that could be counted.
    """
    values = spec.options.get("search_space") if spec.name == GRID else None
    if not isinstance(values, dict) or not all(isinstance(each, list) for each in values.values()):
        return None
    return prod(map(len, values.values()))


def grid_state(spec: SamplerSpec, trials: Iterable[FrozenTrial]) -> GridState | None:
    """Return how far the grid of a study has been gone through; None where it has no grid.

    A trial that failed has tried its point: it was begun as often as the spec allows. A trial that
    went back into the queue has its point still.

    Args:
        spec: the `[sampler]` table, which `try_sampler` has accepted.
        trials: all of the study, queued and running ones too.
    """
    points = grid_points(spec)
    if points is None:
        return None
    every = list(trials)
    drawn = {each.system_attrs[_POINT] for each in every if _POINT in each.system_attrs}
    running = [each for each in every if each.state is TrialState.RUNNING]
    waiting = sum(each.state is TrialState.WAITING for each in every)
    left = points - len(drawn) - sum(map(_will_draw, running))
    return GridState(points, max(0, left), len(every) - waiting, waiting, len(running))


def _will_draw(trial: FrozenTrial) -> bool:
    """Whether a running trial has yet to draw its point; a queued one brought its own."""
    return not {_POINT, "fixed_params"} & trial.system_attrs.keys()
