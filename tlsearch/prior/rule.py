"""The prior: where the search should start for these domain measures, and why.

Plested et al., Table 7: if training from random weights is less accurate than fixed features, the
pretrained weights fit, and a low rate, L2-SP and more reinitialised layers are best. If it is more
accurate, a high rate that is lower in the low layers, plain L2, and only a new classifier are best.
Here the fit is a degree: a weight between these two columns. The numbers of each column are those
of Tables 2 to 6, with depths as fractions of the network (22 body layers in the paper) and rates
relative to `lr_scale`, the highest useful rate. They come from four data sets and one network, so
the spreads are wide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tlsearch.errors import SpecError
from tlsearch.prior.fit import fisher_unfit, unfit_by
from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES, Belief, Measures, Prior, Range
from tlsearch.space import SearchSpace
from tlsearch.spec import Optimizer, PriorSpec, RecipeSpec, StudySpec

# A distance between the two weights, Fisher's and the accuracies', that we call disagreement.
DISAGREEMENT = 0.5
# With fewer steps than this, a low rate cannot move the weights far enough: a tenth of the paper's
# steps, which we take as the published code's 200 epochs on about 6,000 images in batches of 32.
SHORT_STEPS = 4000
# What the paper's alpha and beta, which are for SGD, are multiplied by. AdamW's decay does not pass
# through its division by the size of the gradients, and its rates are lower (`tlsearch.space`).
STRENGTH_UNIT: Mapping[Optimizer, float] = {"sgd": 1.0, "adamw": 10.0}


@dataclass(frozen=True, slots=True)
class Rule:
    """What the paper says about one hyperparameter.

    Depths are fractions of the body; `reinit_layers` does not count the classifier here. The
    others are log10; `high_lr` is relative to `lr_scale` and for a training as long as the paper's.

    Attributes:
        suited: the mode where the weights fit (Table 7, left).
        unsuited: the mode where they do not (right).
        spread: standard deviation in the same unit.
        text: the rule in words, for users.
    """

    suited: float
    unsuited: float
    spread: float
    text: str


RULES: Mapping[str, Rule] = {
    "reinit_layers": Rule(
        1 / 22,
        0.0,
        2 / 22,
        "more layers where the weights fit, only the classifier where they do not (the paper "
        "contradicts itself: Table 6 has 1 for Caltech and 3 for Aircraft, so the spread is wide)",
    ),
    "high_lr": Rule(
        -1.0,
        0.0,
        0.35,
        "a tenth of the highest useful rate where the weights fit, that rate where they do not "
        "(Table 2); closer to that rate in short trainings",
    ),
    "low_lr_ratio": Rule(
        0.0, math.log10(0.45), 0.3, "lower rates for low layers where the weights do not fit"
    ),
    "low_layers": Rule(
        0.0, 9 / 22, 0.25, "low layers at the low rate where the weights do not fit (Table 4)"
    ),
    "alpha": Rule(-2.5, -4.0, 0.7, "L2-SP where the weights fit (Table 5)"),
    "beta": Rule(-2.5, -3.3, 0.7, "less L2 where it acts on more layers (Table 5, remark 2)"),
    "l2sp_layers": Rule(
        18 / 22, 0.0, 0.3, "L2-SP on some or all layers where the weights fit (Table 5)"
    ),
}


def prior_of(spec: StudySpec, space: SearchSpace, n_train: int, measures: Measures) -> Prior | None:
    """Return the prior for a study's measures, or None where its spec says `prior.use = false`.

    Args:
        spec: of the study.
        space: its search space.
        n_train: training images.
        measures: of the study.

    Raises:
        SpecError: see `build_prior`.
    """
    if not spec.prior.use:
        return None
    n_body = space.n_body_layers
    return build_prior(measures, n_body, space.ranges, spec.prior, spec.recipe, n_train)


def build_prior(
    measures: Measures,
    n_body_layers: int,
    ranges: Mapping[str, Range],
    spec: PriorSpec,
    recipe: RecipeSpec,
    n_train: int,
) -> Prior:
    """Compute the prior from the measures, then apply the user's values.

    Args:
        measures: of the study.
        n_body_layers: layers of the backbone without the classifier.
        ranges: the study's search space; modes outside it move to its edge.
        spec: the `[prior]` table.
        recipe: gives the length of the training, the batch size and the momentum.
        n_train: training images.

    Raises:
        SpecError: a value of the user that is outside the study's ranges.
    """
    check_overrides(spec, ranges)
    unfit, by = unfit_by(measures, spec.emd_weight)
    fisher = fisher_unfit(measures)
    disagreement = 0.0
    if measures.fit is not None and fisher is not None:
        disagreement = abs(unfit - fisher)
    scale, scale_from = lr_scale(spec, recipe, measures.lr_range)
    steps = recipe.epochs * max(1, n_train // recipe.batch_size)
    beliefs = {}
    for name in HYPERPARAMETER_NAMES:
        belief = _belief(rule_of(name, steps), unfit, disagreement, by)
        own = _in_own_units(belief, name, n_body_layers, scale, STRENGTH_UNIT[recipe.optimizer])
        beliefs[name] = _overridden(own, name, ranges[name], spec)
    return Prior(unfit, disagreement, scale, scale_from, beliefs)


def lr_scale(spec: PriorSpec, recipe: RecipeSpec, lr_range: float | None) -> tuple[float, str]:
    """Return the highest useful learning rate, and where it comes from, in words.

    The paper's best rates are for one network and optimiser. From them we take the distance
    between the columns, a decade (Table 2), but not the rates themselves. Those are measured: the
    rate at the lowest loss of a range test. Without a range test, the paper's .025 is scaled with
    batch size / (1 - momentum), as in Li et al., "Rethinking the hyperparameters for fine-tuning"
    (ICLR 2020). AdamW's is .001, scaled with the square root of the batch size, as in Malladi et
    al., "On the SDEs and scaling rules for adaptive gradient algorithms" (NeurIPS 2022).
    """
    if spec.lr_scale is not None:
        return spec.lr_scale, "prior.lr_scale in the spec"
    if lr_range is not None:
        return lr_range, "the rate at the lowest loss of a range test with this network and recipe"
    if recipe.optimizer == "adamw":
        scale = 0.001 * math.sqrt(recipe.batch_size / 32)
        return (
            scale,
            f"the usual highest rate of AdamW, .001, scaled to batches of {recipe.batch_size}",
        )
    scale = 0.025 * (recipe.batch_size / 32) * (1 - recipe.momentum) / 0.1
    return scale, (
        "Table 2's rate for weights that do not fit, .025, scaled to batches of "
        f"{recipe.batch_size} and momentum {recipe.momentum:g}"
    )


def density(
    name: str, belief: Belief, given: Range, points: int = 200
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values over the range and the prior's density at each, with 1 as its maximum.

    Args:
        name: of the hyperparameter.
        belief: its prior.
        given: its range.
        points: number of values.

    Returns:
        Two arrays of shape (points,).
    """
    log = name not in DEPTHS and given.low > 0
    ends = np.log10([given.low, given.high]) if log else np.array([given.low, given.high])
    grid = np.linspace(ends[0], ends[1], points)
    mode = np.log10(belief.mode) if log else belief.mode
    exponents = 0.5 * ((grid - mode) / belief.spread) ** 2
    return (10**grid if log else grid), np.exp(exponents.min() - exponents)


def check_overrides(spec: PriorSpec, ranges: Mapping[str, Range]) -> None:
    """Check the modes that the user gave.

    Raises:
        SpecError: a mode outside the study's range, or a depth that is not a whole number.
    """
    modes = spec.mode.given()
    problems = [
        f"prior.mode.{name} = {mode:g}: must lie within the study's range "
        f"[{ranges[name].low:g}, {ranges[name].high:g}]"
        for name, mode in modes.items()
        if not ranges[name].low <= mode <= ranges[name].high
    ]
    problems += [
        f"prior.mode.{name} = {mode:g}: counts layers; give a whole number"
        for name, mode in modes.items()
        if name in DEPTHS and mode != int(mode)
    ]
    if problems:
        raise SpecError(problems)


def rule_of(name: str, steps: int) -> Rule:
    """Return the rule of a hyperparameter for a training of `steps` steps.

    Weights move by about rate times steps, so the low rate of the column "fit" is for a long
    training. In a shorter one it grows in proportion, up to the highest useful rate at
    `SHORT_STEPS`.
    """
    rule = RULES[name]
    if name != "high_lr":
        return rule
    share = min(1.0, max(10**rule.suited, SHORT_STEPS / steps))
    return replace(rule, suited=math.log10(share))


def _belief(rule: Rule, unfit: float, disagreement: float, by: str) -> Belief:
    """Return a belief in the rule's units: between the columns, widest at a weight of 0.5."""
    mode = (1 - unfit) * rule.suited + unfit * rule.unsuited
    between = abs(rule.suited - rule.unsuited) * math.sqrt(unfit * (1 - unfit))
    spread = math.hypot(rule.spread, between) * (1 + disagreement)
    opposite = rule.suited if unfit > 0.5 else rule.unsuited
    return Belief(mode, spread, opposite, rule.text, by)


def _in_own_units(
    belief: Belief, name: str, n_body_layers: int, scale: float, strength_unit: float
) -> Belief:
    if name in DEPTHS:
        least = 1 if name == "reinit_layers" else 0
        mode, opposite = (round(least + n_body_layers * v) for v in (belief.mode, belief.opposite))
        return replace(belief, mode=mode, opposite=opposite, spread=belief.spread * n_body_layers)
    unit = {"high_lr": scale, "alpha": strength_unit, "beta": strength_unit}.get(name, 1.0)
    return replace(belief, mode=unit * 10**belief.mode, opposite=unit * 10**belief.opposite)


def _overridden(belief: Belief, name: str, allowed: Range, spec: PriorSpec) -> Belief:
    belief = replace(
        belief, mode=allowed.nearest(belief.mode), opposite=allowed.nearest(belief.opposite)
    )
    mode, spread = spec.mode.given().get(name), spec.spread.given().get(name)
    if mode is None and spread is None:
        return belief
    ruled = f"the rule gave {belief.mode:.3g} +- {belief.spread:.2g}"
    return replace(
        belief,
        mode=belief.mode if mode is None else mode,
        spread=belief.spread if spread is None else spread,
        rule=f"set by the spec; {ruled}",
        moved_by="[prior]" if mode is not None else belief.moved_by,
    )
