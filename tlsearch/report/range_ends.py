"""Where the best trials of a search lie at the end of a range, a wider one may hold better ones."""

import math
import shlex
from collections.abc import Sequence

from tlsearch.records import DEPTHS, FIXED_FEATURES, Hyperparameters, Range, TrialRecord
from tlsearch.records.knobs import RangeEnd
from tlsearch.space import SearchSpace, widest_ranges

N_BEST = 5  # trials that are looked at
_NEAR = 0.1  # of a range, logarithmic where the search is
_FACTOR = 3.0  # by which a range of rates or strengths is widened


def range_ends(complete: Sequence[TrialRecord], space: SearchSpace) -> tuple[RangeEnd, ...]:
    """Return the hyperparameters of which the best trials lie at or next to one end.

    Next to it is one layer, or a tenth of the range. Values without effect do not count, and an end
    that the network or the method does not let lie further out is no finding.

    Args:
        complete: complete trials of a search, the best first.
        space: its search space.
    """
    searched = [t for t in complete if t.params is not None and t.origin != FIXED_FEATURES]
    best = [t.params for t in searched if t.duplicate_of is None and t.params is not None][:N_BEST]
    if len(best) < N_BEST:
        return ()
    limits = widest_ranges(space)
    found = []
    for name, given in space.ranges.items():
        if given.fixed or not all(_acts(name, each, space) for each in best):
            continue
        places = [_place(name, each.as_dict()[name], given) for each in best]
        for end, near in (("lower", max(places)), ("upper", 1 - min(places))):
            wider = _wider(name, given, limits[name], end)
            if near <= _near(name, given) and wider != given:
                ends = (wider.low, wider.high)
                found.append(RangeEnd(name, end, given.low, given.high, ends, len(best)))
    return tuple(found)


def range_end_sentence(found: RangeEnd, study: str) -> str:
    """Return a sentence that names the end, the wider range and the command that searches it."""
    low, high = (f"{each:.3g}" for each in found.wider)
    setting = shlex.quote(f"space.{found.name}=[{low},{high}]")
    return (
        f"the best {found.n_trials} trials all have {found.name} at or next to the {found.end} end "
        f"of its range [{found.low:.3g}, {found.high:.3g}]; a wider one: "
        f"tlsearch create --from {shlex.quote(study)} --set {setting}"
    )


def _acts(name: str, params: Hyperparameters, space: SearchSpace) -> bool:
    """Whether a value has an effect beside the others."""
    canonical = params.canonical(space.n_body_layers)
    needs = {"low_lr_ratio": canonical.low_layers, "alpha": canonical.l2sp_layers}
    return bool(needs.get(name, 1))


def _place(name: str, value: float, given: Range) -> float:
    """Return where a value lies in its range: 0 at the lower end, 1 at the upper one."""
    value = given.nearest(value)
    if name in DEPTHS or given.low <= 0:
        return (value - given.low) / (given.high - given.low)
    return math.log(value / given.low) / math.log(given.high / given.low)


def _near(name: str, given: Range) -> float:
    """Return what counts as next to an end: one layer where that is less than a third."""
    if name not in DEPTHS:
        return _NEAR
    layers = given.high - given.low
    return 1 / layers + 1e-9 if layers > 3 else 0.0


def _wider(name: str, given: Range, limit: Range, end: str) -> Range:
    if name in DEPTHS:
        more = max(2, math.ceil((given.high - given.low) / 2))
        low, high = given.low - more, given.high + more
    else:
        low, high = given.low / _FACTOR, given.high * _FACTOR
    if end == "lower":
        return Range(max(low, limit.low), given.high)
    return Range(given.low, min(high, limit.high))
