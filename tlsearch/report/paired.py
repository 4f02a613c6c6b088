"""Whether one model is better than another on the same images, over several seeds.

`docs/decisions/0014-finalists.md` says which variance is counted, and why.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

    Both seeds and images are random: the gain is to hold for other seeds and for other images. With
    d[s, i] the difference at seed s and image i, the variance of its mean over S seeds and n images
    is (M_s + M_i - M_si) / (S n), where M are the mean squares of seeds, images and what is left
    (random effects, two ways crossed: Searle, Casella, McCulloch, "Variance Components", 1992,
    section 4.3), with Satterthwaite's degrees of freedom. Where chance makes this smaller than what
    seeds alone or images alone give, the largest of the three counts. It is never below that of
    one image, so that models without any difference do not count as certain.

    With one seed the images alone count.

    Args:
        ours: which images the one gets right, bool (seeds, n), n at least 2.
        theirs: the other, likewise; a model without seeds has the same row again and again.
    """
    import numpy as np

    difference = ours.astype(np.float64) - theirs
    seeds, n = difference.shape
    gain = float(difference.mean())
    of_images = seeds * float(difference.mean(axis=0).var(ddof=1))
    found = [(of_images, n - 1.0)]
    if seeds > 1:
        found += _with_seeds(difference, of_images)
    square, degrees = max(found)
    error = max(math.sqrt(square / (seeds * n)), 1 / n)
    return _tested(gain, error, degrees)


def _with_seeds(difference: "NDArray[np.float64]", of_images: float) -> list[tuple[float, float]]:
    """Return the mean squares that count seeds, with their degrees of freedom."""
    seeds, n = difference.shape
    by_seed, by_image = difference.mean(axis=1, keepdims=True), difference.mean(axis=0)
    of_seeds = n * float(by_seed.var(ddof=1))
    rest = difference - by_seed - by_image + difference.mean()
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (n - 1))
    both = of_seeds + of_images - of_rest
    squares = ((of_seeds, seeds - 1), (of_images, n - 1), (of_rest, (seeds - 1) * (n - 1)))
    spread = sum(square**2 / degrees for square, degrees in squares)
    found = [(of_seeds, seeds - 1.0)]
    return [*found, (both, both**2 / spread)] if both > 0 else found


def _tested(gain: float, error: float, degrees: float) -> PairedGain:
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to load

    margin = float(stdtrit(degrees, 1 - LEVEL / 2)) * error
    p_value = 2 * float(stdtr(degrees, -abs(gain) / error))
    return PairedGain(gain, error, degrees, gain - margin, gain + margin, p_value)
