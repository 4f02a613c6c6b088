"""The rules by which a claim agrees with what was found, disagrees, or cannot be told.

- Two settings of tables: the difference of their test accuracies and its 95 % interval, in which
  seeds and test images both count (bench/accuracy/comparison.py). A gain that is claimed *agrees*
  where the whole interval is above zero, and *disagrees* where all of it is below `SMALL`. That
  there is no gain agrees where all of the interval is below `SMALL`, and disagrees where it is
  above zero.
- The best value of a knob in a figure, which has one run: every value whose best trial is within
  one standard error (of a difference of two shares of the validation images) of the best trial may
  be the best one. A claim that the value is lower agrees where the whole range is.
- Random initialisation minus fixed features: its sign is known where it is two standard errors
  from zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.accuracy.comparison import Correct, Difference, difference
from tlsearch.records.precision import standard_error

Word = Literal["agrees", "disagrees", "cannot be told", "not claimed", "not run"]
Side = Literal["fits", "does not fit"]
Expected = Literal["gain", "no gain"]

SMALL = 0.005  # half a point: no gain of the paper's size


@dataclass(frozen=True)
class Finding:
    """A claim beside what was found on one target.

    Attributes:
        word: the verdict.
        ours: our figures, for people; empty where it was not run.
        n: of how many runs and images.
    """

    word: Word
    ours: str = ""
    n: str = ""


NOT_RUN = Finding("not run")


def side_of(fit: float | None, error: float | None) -> Side | None:
    """Return whether the pretrained weights fit, by the paper's rule; None where unclear."""
    if fit is None or error is None or abs(fit) < 2 * error:
        return None
    return "fits" if fit < 0 else "does not fit"


def of_difference(found: Difference, expected: Expected) -> Word:
    """Return the verdict on a gain."""
    if expected == "gain":
        agrees, disagrees = found.low > 0, found.high < SMALL
    else:
        agrees, disagrees = found.high < SMALL, found.low > 0
    return "agrees" if agrees else "disagrees" if disagrees else "cannot be told"


def compared(first: Correct, second: Correct) -> tuple[Difference, str]:
    """Return the difference of two settings, and how it is written."""
    found = difference(first, second)
    mean, low, high = (100 * each for each in (found.mean, found.low, found.high))
    return found, f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def best_values(trials: Sequence[Mapping[str, Any]], knob: str, n_val: int) -> tuple[float, float]:
    """Return the lowest and the highest value of a knob that may be the best one.

    Args:
        trials: of a figure, at least one of them complete.
        knob: its name.
        n_val: validation images.
    """
    by_value: dict[float, float] = {}
    for trial in trials:
        value = trial["params"][knob]
        by_value[value] = max(by_value.get(value, 0.0), trial["val_accuracy"])
    best = max(by_value.values())
    error = math.sqrt(2) * standard_error(best, n_val)
    may = [value for value, accuracy in by_value.items() if accuracy >= best - error]
    return min(may), max(may)


def of_ranges(first: tuple[float, float], second: tuple[float, float]) -> Word:
    """Return the verdict on the claim that the first best value is below the second."""
    if first[1] < second[0]:
        return "agrees"
    return "disagrees" if first[0] > second[1] else "cannot be told"


def of_limit(found: tuple[float, float], limit: float, *, below: bool) -> Word:
    """Return the verdict on the claim that a best value is below (or above) a limit."""
    inside, outside = found[1] < limit, found[0] > limit
    agrees, disagrees = (inside, outside) if below else (outside, inside)
    return "agrees" if agrees else "disagrees" if disagrees else "cannot be told"
