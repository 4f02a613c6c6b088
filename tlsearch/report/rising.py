"""Whether learning curves still rise at their end, so that longer training would help."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression, stdev
from typing import TYPE_CHECKING

from tlsearch.records.objective import ACCURACY, Objective, is_minimised, words

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tlsearch.store.stored_study import StoredStudy

LAST_SHARE = 0.3  # of the epochs: what counts as the end of a curve
FEWEST_EPOCHS = 6  # below that the end is most of the training
FEWEST_TRIALS, MOST_TRIALS = 4, 10
TOP_SHARE = 0.25  # of the complete trials: those that are looked at
# Student's t at 97.5 %: standard errors that count as beyond noise, by the number of trials.
BEYOND_NOISE = {4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
LONGER = 2  # times the epochs: what to try


@dataclass(frozen=True, slots=True)
class Rising:
    """How fast the score of the best trials still rose at their end.

    Attributes:
        slope: mean gain an epoch, of accuracy a fraction; negative where it falls.
        error: its standard error.
        last_epochs: epochs that it was taken over.
        n_trials: trials that it is the mean of.
        epochs: of each of these trials.
        objective: what the score is.
    """

    slope: float
    error: float
    last_epochs: int
    n_trials: int
    epochs: int
    objective: Objective = ACCURACY

    @property
    def beyond_noise(self) -> bool:
        """Whether the score rose by more than chance explains."""
        return self.slope > BEYOND_NOISE[self.n_trials] * self.error

    @property
    def epochs_to_try(self) -> int:
        """How many epochs a study should try next."""
        return LONGER * self.epochs


def read_rising(engine: "sa.Engine", study: "StoredStudy") -> Rising | None:
    """Return what `rising` says of a study's complete trials."""
    from tlsearch.store.curves import read_endings  # help texts need no database

    epochs = study.spec.recipe.epochs
    last = end_of(epochs)
    if last is None:
        return None
    found = read_endings(engine, study.study_id, epochs - last + 1, epochs, MOST_TRIALS)
    objective = study.spec.objective
    return rising(found.of_best, found.n_complete, study.data.n_val, epochs, objective)


def end_of(epochs: int) -> int | None:
    """Return how many last epochs are the end of a curve; None where a curve is too short."""
    return None if epochs < FEWEST_EPOCHS else max(3, math.ceil(LAST_SHARE * epochs - 1e-9))


def rising(
    endings: Sequence[Sequence[float]],
    n_complete: int,
    n_val: int,
    epochs: int,
    objective: Objective = ACCURACY,
) -> Rising | None:
    """Estimate the slope at the end of the best trials' curves.

    What is a fair sign? A cosine schedule flattens every curve: in the last 30 % of the epochs the
    rates fall from a fifth of their peak to zero, and the sum of all rates there is 4 % of the
    whole. So a flat end says nothing, and no figure here says that longer training is of no use. A
    curve that rises there all the same has not had enough of it. Where the rates do not fall
    (`constant`), the sign is the plain one.

    The slope is that of a least-squares line through the accuracies of the last 30 % of the
    epochs, three at least, and its mean is over the best quarter of the complete trials (4 to 10).
    The trials must be chosen by their mean over these epochs, not by their last one, for then the
    lucky last epochs would make a slope.

    Its standard error is that between trials, the spread of their slopes over the root of their
    number. Trials share the validation images, and few trials can agree by chance, so it is at
    least what n images can tell: m trials that rise by r, each by r n images that became right,
    have sqrt(r / (n m)) (McNemar, "Note on the sampling error of the difference between correlated
    proportions", Psychometrika 1947, where no image became wrong). A log loss is no share of the
    images, so there it is that between trials alone.

    Args:
        endings: scores (trials, last epochs), best trials first; see `end_of`.
        n_complete: complete trials that they were chosen from.
        n_val: validation images.
        epochs: of each trial.
        objective: what the scores are.

    Returns:
        None where there are too few trials or epochs to tell.
    """
    wanted = max(FEWEST_TRIALS, min(MOST_TRIALS, int(TOP_SHARE * n_complete)))
    top = endings[:wanted]
    last = end_of(epochs)
    if last is None or len(top) < FEWEST_TRIALS:
        return None
    slopes = [linear_regression(range(last), ending).slope for ending in top]
    slope = fmean(slopes)
    between = stdev(slopes) / math.sqrt(len(slopes))
    least = math.sqrt(abs(slope) / (last - 1) / (n_val * len(slopes)))
    error = between if is_minimised(objective) else max(between, least)
    return Rising(slope, error, last, len(top), epochs, objective)


def rising_sentence(found: Rising | None) -> str | None:
    """Return `longer training would help: +0.4 points an epoch ...`; None where no sign says so."""
    if found is None or not found.beyond_noise:
        return None
    gain, error = f"{100 * found.slope:+.2g} points", f"{100 * found.error:.1g}"
    if is_minimised(found.objective):
        gain, error = f"{words(found.objective)} {-found.slope:+.2g}", f"{found.error:.1g}"
    return (
        f"longer training would help: {gain} an epoch at the end "
        f"(+- {error}, the last {found.last_epochs} of {found.epochs} epochs of "
        f"the best {found.n_trials} trials); try recipe.epochs = {found.epochs_to_try}"
    )
