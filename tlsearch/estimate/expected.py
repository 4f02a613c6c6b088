"""The accuracy to expect of each complete trial, from what all of them reached.

The best of many figures is a lucky one. The expected accuracy takes the luck out: a Gaussian
process over the hyperparameters says what a trial would reach if it were trained again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlsearch.estimate.process import AccuracyProcess
from tlsearch.records import DEPTHS, FIXED_FEATURES, Hyperparameters, Range, TrialRecord
from tlsearch.records.precision import share_error, standard_error
from tlsearch.space import SearchSpace

MIN_TRIALS = 4  # different ones; fewer say nothing of each other
MAX_BEST, MAX_LATEST = 100, 100  # that the process is fitted to


@dataclass(frozen=True, slots=True)
class Expected:
    """What a trial's hyperparameters should reach on new images.

    Attributes:
        accuracy: the expected accuracy, a fraction.
        sd: its standard deviation, a fraction: what the process leaves open, and what the choice
            of the validation images does. The second part is common to all trials of a study.
    """

    accuracy: float
    sd: float


def expected_accuracies(
    trials: Sequence[TrialRecord], space: SearchSpace, n_val: int
) -> dict[int, Expected]:
    """Return what to expect of each complete trial, by its number.

    The process is fitted to the complete trials. Left out are

    - those that took over an earlier one's result, which is no second measurement of it; trials
      that trained the same model at the same time are one, and say how large the noise is;
    - `fixed_features`, which has no hyperparameters;
    - those that were trained on the validation images too: what they showed says nothing;
    - failed ones, and pruned ones: that they were in the lowest quarter half-way says little of
      the height they would have ended at, and to take the accuracy they had for the final one
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
    complete = [t for t in honest if t.state == "complete" and _is_accuracy(t.val_accuracy)]
    complete.sort(key=lambda trial: trial.number)  # the same figures whoever read them
    found = {trial.number: _as_seen(trial, n_val) for trial in complete}
    searched = [t for t in complete if t.params is not None and t.origin != FIXED_FEATURES]
    measured = [trial for trial in searched if trial.duplicate_of is None]
    used = _representative(measured)
    if len({tuple(row) for row in _cube(used, space)}) < MIN_TRIALS:
        return found
    process = AccuracyProcess(
        np.array(_cube(used, space)), np.array([_seen(trial) for trial in used]), n_val
    )
    accuracies, deviations = process.accuracy(np.array(_cube(searched, space)))
    for trial, accuracy, deviation in zip(searched, accuracies, deviations, strict=True):
        sd = math.hypot(float(deviation), share_error(float(accuracy), n_val))
        found[trial.number] = Expected(float(accuracy), sd)
    return found


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
    assert trial.val_accuracy is not None, "it is complete"
    return trial.val_accuracy


def _is_accuracy(value: float | None) -> bool:
    return value is not None and 0 <= value <= 1


def _as_seen(trial: TrialRecord, n_val: int) -> Expected:
    return Expected(_seen(trial), standard_error(_seen(trial), n_val))
