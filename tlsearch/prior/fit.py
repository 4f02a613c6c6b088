"""How far the measures say that the pretrained weights do not fit, as a weight from 0 to 1."""

import math

from tlsearch.records import Measures

# A difference between the two accuracies (fractions) that is several times this is decisive. Where
# an image has several labels, it is a difference of mean average precisions.
FIT_SCALE = 0.05
# The ratio of the Fisher score to its floor at which it favours neither column, and the change (as
# a logarithm) that favours one. It is wide: the score also depends on how hard the target is.
FISHER_MIDDLE = 3.0
FISHER_SCALE = 1.0
# The paper's four similarities lie between .536 and .568.
EMD_MIDDLE, EMD_SCALE = 0.55, 0.01


def unfit_weight(fit: float, error: float) -> float:
    """Return the weight of "the pretrained weights do not fit", from 0 to 1.

    It is the normal distribution function of `fit`, scaled by its standard error and `FIT_SCALE`:
    0.5 where there is no difference, and never near 0 or 1 with few validation images.

    Args:
        fit: accuracy from random weights minus that of fixed features, a fraction; of several
            labels an image mean average precision.
        error: standard error of that difference.
    """
    return _normal(fit / math.hypot(FIT_SCALE, error))


def fisher_unfit(measures: Measures) -> float | None:
    """Return the same weight, computed from the Fisher score alone; None where there is none."""
    if measures.fisher_ratio is None:
        return None
    return _normal(-math.log(measures.fisher_ratio / FISHER_MIDDLE) / FISHER_SCALE)


def unfit_by(measures: Measures, emd_weight: float) -> tuple[float, str]:
    """Return the weight of the column "do not fit" and the name of the measure behind it."""
    if measures.fit is not None and measures.fit_error is not None:
        weight, by = unfit_weight(measures.fit, measures.fit_error), "random init - fixed features"
    elif (fisher := fisher_unfit(measures)) is not None:  # the paper's second choice, a weak one
        weight, by = 0.5 + (fisher - 0.5) / 2, "Fisher score (halved)"
    else:
        weight, by = 0.5, "nothing: half way between the columns"
    if emd_weight and measures.emd_similarity is not None:
        emd = _normal((EMD_MIDDLE - measures.emd_similarity) / EMD_SCALE)
        weight, by = (1 - emd_weight) * weight + emd_weight * emd, f"{by}, EMD"
    return weight, by


def _normal(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))
