"""Whether one model is better than another on the same images, over several seeds.

`docs/decisions/0014-finalists.md` says which variance is counted, and why.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlsearch.records.crossed import Part, crossed

if TYPE_CHECKING:  # so that commands that compare nothing start without it
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.05  # of the tests; the intervals hold the rest


@dataclass(frozen=True, slots=True)
class PairedGain:
    """By how much one is ahead of the other.

    Attributes:
        gain: mean difference of accuracies, a fraction.
        error: its standard error.
        degrees: of freedom of that.
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


def paired_gain(ours: "NDArray[np.bool_]", theirs: "NDArray[np.bool_]") -> PairedGain:
    """Compare two models by which images each gets right, over seeds.

    Both seeds and images are random: the gain is to hold for other seeds and for other images. So
    the difference at each seed and image is taken apart (`tlsearch.records.crossed`). Where chance
    makes the variance of both smaller than what seeds alone or images alone give, the largest of
    the three counts. The error is never below that of one image, so that models without any
    difference do not count as certain.

    With one seed the images alone count.

    Args:
        ours: which images the one gets right, bool (seeds, n), n at least 2.
        theirs: the other, likewise; a model without seeds has the same row again and again.
    """
    import numpy as np

    difference = ours.astype(np.float64) - theirs
    seeds, n = difference.shape
    gain = float(difference.mean())
    if seeds == 1:
        found = [Part(float(difference.var(ddof=1)) / n, n - 1)]
    else:
        parts = crossed(difference)
        found = [parts.images, parts.seeds, *([parts.both] if parts.both else [])]
    largest = max(found, key=lambda part: (part.variance, part.freedom))
    error = max(math.sqrt(largest.variance), 1 / n)
    return _tested(gain, error, largest.freedom)


def _tested(gain: float, error: float, degrees: float) -> PairedGain:
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to load

    margin = float(stdtrit(degrees, 1 - LEVEL / 2)) * error
    p_value = 2 * float(stdtr(degrees, -abs(gain) / error))
    return PairedGain(gain, error, degrees, gain - margin, gain + margin, p_value)
