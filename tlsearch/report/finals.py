"""What the runs of a study of finalists come to."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tlsearch.records.finals import MEAN, Comparison, Finalist, FinalistKind, Finals, SeedRun
from tlsearch.records.finals_plan import (
    DEFAULT,
    FLOOR_NAME,
    RATE_RUN,
    FinalsPlan,
)
from tlsearch.records.hyperparameters import Hyperparameters
from tlsearch.records.objective import ACCURACY, Objective, shown_gain, signed_gain
from tlsearch.records.precision import standard_error
from tlsearch.report.paired import paired_gain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Worth = NDArray[Any]  # bool or float64

MISSING = {
    FLOOR_NAME: "fixed features could not be had, so nothing is compared with them",
    DEFAULT: "no run of the plain default was complete, so nothing is compared with it",
}


@dataclass(frozen=True, slots=True, eq=False)
class EndedRun:
    """A run that ended, or will.

    Attributes:
        name: what it is one run of.
        origin: of its trial.
        run: what it reached; None where it has not ended, or failed.
        failed: whether it failed.
        right: what each validation image adds to its score, (n_val,): of accuracy whether it is
            right, bool; of others a number. None where that is not known.
        mean_right: the same of its mean with fixed features.
        is_copy: whether it was taken over from another study, which had trained the same.
    """

    name: str
    origin: str
    run: SeedRun | None
    failed: bool = False
    right: "Worth | None" = None
    mean_right: "Worth | None" = None
    is_copy: bool = False


def finals_of(
    study: str, plan: FinalsPlan, runs: Sequence[EndedRun], objective: Objective = ACCURACY
) -> Finals:
    """Return what finalists reached, and which of them to use.

    Args:
        study: name of the search.
        plan: of the study of finalists.
        runs: of every trial of that study that is a run.
        objective: what the search made best.
    """
    seeds = [each for each in runs if each.origin != RATE_RUN]
    finalists = tuple(_finalists(plan, seeds))
    ended = sum(each.failed or each.run is not None for each in runs)
    complete = plan.settled and ended >= plan.n_planned
    winner = next((f.name for f in finalists if f.kind == "candidate" and f.runs), None)
    found = Finals(study, finalists, complete, winner, objective=objective)
    return _judged(found, seeds) if complete else found


def _finalists(plan: FinalsPlan, runs: Sequence[EndedRun]) -> list[Finalist]:
    n = len(plan.seeds)
    rate = plan.default.high_lr if plan.default_rate is None else plan.default_rate
    has_default = not plan.settled or plan.default_rate is not None
    candidates = [
        _finalist(each.name, "candidate", each.params, each.trial, n, runs)
        for each in plan.candidates
    ]
    tuned = replace(plan.default, high_lr=rate)
    default = _finalist(DEFAULT, "default", tuned, None, n if has_default else 0, runs)
    floor = _finalist(FLOOR_NAME, "fixed_features", None, None, 1, runs)
    return [*sorted(candidates, key=_place), default, floor]


def _finalist(
    name: str,
    kind: FinalistKind,
    params: Hyperparameters | None,
    trial: int | None,
    planned: int,
    runs: Sequence[EndedRun],
) -> Finalist:
    own = [each for each in runs if each.name == name]
    found = sorted((each.run for each in own if each.run is not None), key=lambda run: run.trial)
    failed = sum(each.failed for each in own)
    return Finalist(name, kind, params, trial, planned, tuple(found), failed)


def _place(finalist: Finalist) -> tuple[int, float]:
    """Return by what candidates are sorted: one that failed at a seed comes behind the others."""
    return finalist.failed, -_rank(finalist)


def _rank(finalist: Finalist) -> float:
    return -math.inf if finalist.mean is None else finalist.mean


def _judged(finals: Finals, runs: Sequence[EndedRun]) -> Finals:
    """Return the same with the comparisons, and what to use."""
    if finals.winner is None:
        why = "every run of every candidate failed; tlsearch status tells why"
        fallback = next((f.name for f in reversed(finals.finalists) if f.runs), None)
        return replace(finals, recommended=fallback, why=why)
    right = right_by_seed(runs)
    default, floor = finals.finalists[-2:]
    mean = _mean(finals.finalist(finals.winner), runs)
    comparisons = [_comparison(finals.winner, each, right) for each in (default, floor)]
    found = tuple(each for each in comparisons if each is not None)
    between = _comparison(DEFAULT, floor, right)
    answer, why = _recommended(
        finals.winner, found, between is not None and between.is_clear, finals.objective
    )
    missing = [MISSING[f.name] for f in (default, floor) if not f.runs]
    told = replace(finals, comparisons=found, recommended=answer, why="; ".join([why, *missing]))
    return (
        told
        if mean is None
        else _with_mean(told, mean, floor, right | {MEAN: _mean_right(finals.winner, runs)})
    )


def _mean(winner: Finalist, runs: Sequence[EndedRun]) -> Finalist | None:
    """Return the mean of fixed features and the winner; None unless known at every seed."""
    own = [each for each in runs if each.name == winner.name and each.run is not None]
    own.sort(key=lambda each: each.run.trial if each.run else 0)
    found = [
        _of_mean(each.run, float(each.mean_right.mean()))
        for each in own
        if each.run is not None and each.mean_right is not None
    ]
    if not found or len(found) < len(winner.runs):
        return None
    return Finalist(MEAN, "mean", None, winner.from_trial, len(found), tuple(found))


def _of_mean(run: SeedRun, score: float) -> SeedRun:
    if run.own_score is None:
        return replace(run, val_accuracy=score)
    return replace(run, val_accuracy=None, own_score=score)


def _with_mean(
    finals: Finals,
    mean: Finalist,
    floor: Finalist,
    right: Mapping[str, Mapping[int, "Worth"]],
) -> Finals:
    """Add the mean, and recommend it where it beats fixed features and is not behind the best.

    As for the answer of a search (`tlsearch.records.answer.recommended`), it may be one standard
    error behind: the best was chosen on these images, the mean was not. It takes no training, and
    both networks at inference.
    """
    found = _comparison(MEAN, floor, right)
    shown = replace(finals, finalists=(*finals.finalists, mean))
    best = max((each for each in finals.finalists if each.runs), key=_rank)
    behind = _rank(mean) < _rank(best) - _error(finals.objective, best, right)
    if behind or found is None or not found.is_clear:
        return shown
    ahead = shown_gain(finals.objective, found.gain)
    why = (
        f"the mean of fixed features and {finals.winner} is {ahead} ahead of fixed "
        f"features, more than chance explains, not behind the best by a standard error, and takes "
        f"no more training; of one network alone: {finals.recommended}, since {finals.why}"
    )
    return replace(shown, recommended=MEAN, why=why)


def _error(
    objective: Objective, best: Finalist, right: Mapping[str, Mapping[int, "Worth"]]
) -> float:
    """Return the standard error of a finalist's score by the validation images."""
    n_val = len(next(iter(right[MEAN].values())))
    values = next(iter(right.get(best.name, {}).values()), None)
    if objective == ACCURACY or values is None:
        return standard_error(_rank(best), n_val)
    return float(values.std(ddof=1)) / math.sqrt(n_val)


def _mean_right(winner: str, runs: Sequence[EndedRun]) -> dict[int, "Worth"]:
    return {
        each.run.seed: each.mean_right
        for each in runs
        if each.name == winner and each.run is not None and each.mean_right is not None
    }


def right_by_seed(
    runs: Sequence[EndedRun],
) -> dict[str, dict[int, "Worth"]]:
    """Return what images are worth to each run, by what it is one run of and by its seed."""
    found: dict[str, dict[int, Worth]] = {each.name: {} for each in runs}
    for each in runs:
        if each.run is not None and each.right is not None:
            found[each.name][each.run.seed] = each.right
    return found


def _comparison(
    name: str, baseline: Finalist, right: Mapping[str, Mapping[int, "Worth"]]
) -> Comparison | None:
    """Compare one with a baseline at the seeds that both have; None where there is none."""
    import numpy as np

    winner, theirs = right.get(name, {}), right.get(baseline.name, {})
    if baseline.kind == "fixed_features" and theirs:  # the same whatever the seed
        theirs = dict.fromkeys(winner, next(iter(theirs.values())))
    seeds = sorted(set(winner) & set(theirs))
    if not seeds:
        return None
    gain = paired_gain(*(np.stack([each[seed] for seed in seeds]) for each in (winner, theirs)))
    return Comparison(
        baseline.name, gain.gain, gain.low, gain.high, gain.p_value, len(seeds), gain.is_clear
    )


def _recommended(
    winner: str,
    comparisons: Sequence[Comparison],
    default_beats_floor: bool,
    objective: Objective = ACCURACY,
) -> tuple[str, str]:
    """Return what to use, and why: the cheapest that nothing dearer clearly beats.

    Args:
        winner: name of the best candidate.
        comparisons: of it with each baseline, the dearer one first.
        default_beats_floor: whether the plain default is clearly ahead of fixed features.
        objective: what the gains are of.
    """
    if not comparisons:
        return winner, f"{winner} has the best mean, and there is no baseline to compare it with"
    equal = [each for each in comparisons if not each.is_clear]
    if not equal:
        ahead = " and ".join(
            f"{each.baseline} by {shown_gain(objective, each.gain)}" for each in comparisons
        )
        return winner, f"{winner} is ahead of {ahead}, more than chance explains"
    if len(equal) == len(comparisons) == 2 and default_beats_floor:
        equal = equal[:1]
    found = equal[-1]
    where = "ahead of" if found.gain >= 0 else "behind"
    why = " by no more than chance explains" if found.gain > 0 else ""
    low, high = signed_gain(objective, found.low), signed_gain(objective, found.high)
    gain = shown_gain(objective, found.gain)
    return found.baseline, (
        f"{winner}, the best mean of the candidates, is {gain} {where} "
        f"{found.baseline}{why} (95 %: {low} to {high}), and {found.baseline} costs less"
    )
