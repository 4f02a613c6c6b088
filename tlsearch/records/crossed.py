"""The variance of a mean over seeds and images, where every seed sees every image.

Searle, Casella and McCulloch, "Variance components" (1992), chapter 4: random effects, two ways
crossed, one value a cell.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that commands that compare nothing start without it
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Part:
    """An estimate of the variance of the mean, and its degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Crossed:
    """What seeds, images and the rest give to the variance of the mean of all values.

    Attributes:
        seeds, images, rest: mean squares, divided by the number of values.
    """

    seeds: Part
    images: Part
    rest: Part

    @property
    def both(self) -> Part | None:
        """Of seeds and images together; None where chance leaves nothing of it.

        The degrees of freedom are Satterthwaite's (1946).
        """
        variance = self.images.variance + self.seeds.variance - self.rest.variance
        if variance <= 0:
            return None
        parts = (self.images, self.seeds, self.rest)
        return Part(variance, variance**2 / sum(p.variance**2 / p.freedom for p in parts))

    @property
    def counted(self) -> Part:
        """What the variance is taken to be: the largest of what images, seeds and both give.

        Both together give less than one of them alone by chance only. Then, and where next to
        nothing is left, the degrees of freedom of both would be few, and an interval without end.
        """
        found = [self.images, self.seeds, *([self.both] if self.both else [])]
        return max(found, key=lambda part: (part.variance, part.freedom))


def crossed(values: "NDArray[np.float64]") -> Crossed:
    """Take the variance of the mean of values apart.

    Args:
        values: (seeds, images), both above 1.
    """
    n_seeds, n_images = values.shape
    of_seed, of_image = values.mean(axis=1), values.mean(axis=0)
    rest = values - of_image[None, :] - of_seed[:, None] + values.mean()
    freedom = (n_seeds - 1) * (n_images - 1)
    return Crossed(
        Part(float(of_seed.var(ddof=1)) / n_seeds, n_seeds - 1),
        Part(float(of_image.var(ddof=1)) / n_images, n_images - 1),
        Part(float((rest**2).sum()) / freedom / values.size, freedom),
    )
