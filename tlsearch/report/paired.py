"""Whether one model is better than another on the same images, over several seeds.

`docs/decisions/0014-finalists.md` says which variance is counted, and why.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlsearch.records.crossed import crossed
from tlsearch.records.precision import paired_error

if TYPE_CHECKING:  # so that commands that compare nothing start without it
    from numpy.typing import NDArray

    Worth = NDArray[Any]  # bool or float64

LEVEL = 0.05  # of the tests; the intervals hold the rest


@dataclass(frozen=True, slots=True)
class PairedGain:
    """By how much one is ahead of the other.

    Attributes:
        gain: mean difference of scores, of accuracies a fraction.
        error: its standard error.
        degrees: of freedom of that; infinite for one model against one.
        low, high: 95 % interval of the gain.
        p_value: two-sided.
    """

    gain: float
    error: float
    degrees: float
    low: float
    high: float
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether it is ahead by more than chance explains, at 5 %."""
        return self.gain > 0 and self.p_value < LEVEL


def paired_gain(ours: "Worth", theirs: "Worth") -> PairedGain:
    """Compare two models on the same images, over seeds: for finalists, knobs and the test alike.

    What counts is what each image adds to the scores: of accuracy whether it is right, of other
    objectives a number (`tlsearch.measures.per_image`).

    Both seeds and images are random: the gain is to hold for other seeds and for other images. So
    the difference at each seed and image is taken apart (`tlsearch.records.crossed`), and p-value
    and interval are those of t with the variance that is counted. One model against one: McNemar's
    exact test, and the normal interval of a difference of paired proportions; of numbers, t over
    the images.

    The error is never below that of one image, so that models without any difference do not count
    as certain.

    Args:
        ours: of the one, bool or float64 (seeds, n), n at least 2; rows are paired.
        theirs: the other, likewise. A model without seeds has one row, beside any number.
    """
    import numpy as np

    difference = ours.astype(np.float64) - theirs.astype(np.float64)
    seeds, n = difference.shape
    if seeds == 1 and ours.dtype == np.bool_:
        return _of_one(int((difference > 0).sum()), int((difference < 0).sum()), n)
    if seeds == 1:
        error = max(float(difference.std(ddof=1)) / math.sqrt(n), 1 / n)
        return _by_t(float(difference.mean()), error, n - 1)
    counted = crossed(difference).counted
    error = max(math.sqrt(counted.variance), 1 / n)
    return _by_t(float(difference.mean()), error, counted.freedom)


def _of_one(alone: int, others: int, n: int) -> PairedGain:
    """Compare one model with one: of n images each gets some right that the other does not."""
    from scipy.special import bdtr, ndtri  # scipy.stats takes a second to load

    gain, error = (alone - others) / n, paired_error(alone, others, n)
    margin = float(ndtri(1 - LEVEL / 2)) * error
    p_value = min(1.0, 2 * float(bdtr(min(alone, others), alone + others, 0.5)))
    return PairedGain(gain, error, math.inf, gain - margin, gain + margin, p_value)


def _by_t(gain: float, error: float, degrees: float) -> PairedGain:
    from scipy.special import stdtr, stdtrit

    margin = float(stdtrit(degrees, 1 - LEVEL / 2)) * error
    p_value = 2 * float(stdtr(degrees, -abs(gain) / error))
    return PairedGain(gain, error, degrees, gain - margin, gain + margin, p_value)
