"""The score to expect of each complete trial, from what all of them reached.

The best of many figures is a lucky one. The expected score takes the luck out: a Gaussian process
over the hyperparameters says what a trial would reach if it were trained again. The score is the
accuracy unless the study has another objective.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlsearch.estimate.link import Array, Linked, linked_accuracies, linked_scores
from tlsearch.estimate.process import ScoreProcess
from tlsearch.records import DEPTHS, FIXED_FEATURES, Hyperparameters, Range, TrialRecord
from tlsearch.records.answer import score_error
from tlsearch.records.objective import ACCURACY, is_minimised
from tlsearch.records.precision import share_error
from tlsearch.space import SearchSpace

MIN_TRIALS = 4  # different ones; fewer say nothing of each other
MAX_BEST, MAX_LATEST = 100, 100  # that the process is fitted to


@dataclass(frozen=True, slots=True)
class Expected:
    """What a trial's hyperparameters should reach on new images.

    Attributes:
        score: the expected score; of accuracy a fraction.
        sd: its standard deviation: what the process leaves open, and what the choice of the
            validation images does. The second part is common to all trials of a study.
    """

    score: float
    sd: float


def expected_scores(
    trials: Sequence[TrialRecord], space: SearchSpace, n_val: int
) -> dict[int, Expected]:
    """Return what to expect of each complete trial, by its number.

    The process is fitted to the complete trials. Left out are

    - those that took over an earlier one's result, which is no second measurement of it; trials
      that trained the same model at the same time are one, and say how large the noise is;
    - `fixed_features`, which has no hyperparameters;
    - those that were trained on the validation images too: what they showed says nothing;
    - failed ones, and pruned ones: that they were in the lowest quarter half-way says little of
      the height they would have ended at, and to take the score they had for the final one
      would pull down their neighbours. Without them the process knows bad regions less well, not
      the good ones.

    Those that were trained on the validation images get none. `fixed_features`, and all where
    fewer than 4 different ones are complete, get what they showed, with the standard error of a
    share of n images.

    Args:
        trials: of one study, in any state.
        space: its search space.
        n_val: validation images.
    """
    honest = [t for t in trials if t.train_on == "train"]
    complete = [t for t in honest if t.state == "complete" and _is_score(t)]
    complete.sort(key=lambda trial: trial.number)  # the same figures whoever read them
    found = {t.number: Expected(_seen(t), score_error(t, n_val)) for t in complete}
    searched = [t for t in complete if t.params is not None and t.origin != FIXED_FEATURES]
    measured = [trial for trial in searched if trial.duplicate_of is None]
    used = _representative(measured)
    if len({tuple(row) for row in _cube(used, space)}) < MIN_TRIALS:
        return found
    process = ScoreProcess(np.array(_cube(used, space)), _linked(used, n_val))
    scores, deviations = process.score(np.array(_cube(searched, space)))
    for trial, score, deviation in zip(searched, scores, deviations, strict=True):
        sd = math.hypot(float(deviation), _error(trial, float(score), n_val))
        found[trial.number] = Expected(float(score), sd)
    return found


def _linked(trials: Sequence[TrialRecord], n_val: int) -> Linked:
    scores: Array = np.array([_seen(trial) for trial in trials])
    objective = trials[0].objective
    if objective == ACCURACY:
        return linked_accuracies(scores, n_val)
    errors = [trial.own.error if trial.own else None for trial in trials]
    return linked_scores(objective, scores, errors, n_val)


def unit_cube(params: Hyperparameters, space: SearchSpace) -> list[float]:
    """Return canonical hyperparameters scaled to 0 to 1, those that are searched.

    Rates and strengths are on a logarithmic scale; a strength of 0 is the least of its range.
    """
    values = params.canonical(space.n_body_layers).as_dict()
    searched: Mapping[str, Range] = {
        name: given for name, given in space.ranges.items() if not given.fixed
    }
    return [_scaled(name, values[name], given) for name, given in searched.items()]


def _scaled(name: str, value: float, given: Range) -> float:
    value = given.nearest(value)
    if name in DEPTHS or given.low <= 0:
        return (value - given.low) / (given.high - given.low)
    return math.log(value / given.low) / math.log(given.high / given.low)


def _cube(trials: Sequence[TrialRecord], space: SearchSpace) -> list[list[float]]:
    return [unit_cube(trial.params, space) for trial in trials if trial.params is not None]


def _representative(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the best and the latest where there are many: fitting takes the cube of their number.

    The latest are not chosen by what they showed, so they are no selection of lucky ones.
    """
    best = sorted(trials, key=lambda trial: -_seen(trial))
    others = sorted(best[MAX_BEST:], key=lambda trial: trial.number)
    return best[:MAX_BEST] + others[-MAX_LATEST:]


def _seen(trial: TrialRecord) -> float:
    assert trial.score is not None, "it is complete"
    return trial.score


def _is_score(trial: TrialRecord) -> bool:
    if trial.score is None:
        return False
    return trial.score <= 0 if is_minimised(trial.objective) else 0 <= trial.score <= 1


def _error(trial: TrialRecord, score: float, n_val: int) -> float:
    """Return the standard error of a score that is expected of a trial."""
    if trial.objective == ACCURACY:
        return share_error(score, n_val)
    return score_error(trial, n_val)
