import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tlsearch.errors import SpecError
from tlsearch.prior import most_starting_trials, starting_trials
from tlsearch.prior.fit import FISHER_MIDDLE, FISHER_SCALE, fisher_unfit, unfit_weight
from tlsearch.prior.rule import (
    DISAGREEMENT,
    RULES,
    SHORT_STEPS,
    build_prior,
    density,
    rule_of,
)
from tlsearch.records import HYPERPARAMETER_NAMES, Measures, Prior, Range
from tlsearch.report.measures_table import footnotes, meaning, measures_rows
from tlsearch.space import resolve
from tlsearch.spec import KnobsSpec, PriorSpec, RecipeSpec, SpaceSpec

DEPTHS = ("reinit_layers", "low_layers", "l2sp_layers")

FLOOR = 0.4  # of the Fisher score
# The measures of nobody in particular: they speak for neither column.
NEUTRAL = Measures(
    fixed_features=0.7,
    fixed_features_strength=0.01,
    random_init=0.7,
    random_init_epochs=60,
    fisher=FISHER_MIDDLE * FLOOR,
    fisher_floor=FLOOR,
    fisher_floor_spread=0.01,
    emd=60.0,
    emd_similarity=0.55,
    emd_source="the pretrained classifier",
    lr_range=None,
    n_val=2000,
    feature_seconds=1.0,
    lr_range_seconds=5.0,
    random_init_seconds=60.0,
)
FITS = {"random_init": 0.4}
DOES_NOT_FIT = {"random_init": 0.95}


def fisher(z):
    """A score that speaks for the left column, or below 0 for the right one."""
    return {"fisher": FISHER_MIDDLE * FLOOR * math.exp(z * FISHER_SCALE)}


# Images with which 200 epochs are long training, whatever the batches.
LONG = 12_000

# Table 1: random initialisation, fixed features; Tables 2 and 6: the best rate.
PAPER = {
    "Caltech": ({"random_init": 0.672, "fixed_features": 0.834}, 0.0025),
    "DTD": ({"random_init": 0.668, "fixed_features": 0.746}, 0.002),
    "Cars": ({"random_init": 0.927, "fixed_features": 0.642}, 0.025),
    "Aircraft": ({"random_init": 0.888, "fixed_features": 0.599}, 0.025),
}


def prior_of(
    spec=None, space=None, recipe=None, n_body_layers=22, n_train=LONG, **measured
) -> Prior:
    ranges = resolve(space or SpaceSpec(), n_body_layers).ranges
    found = replace(NEUTRAL, **measured)
    recipe = recipe or RecipeSpec(epochs=200)
    return build_prior(found, n_body_layers, ranges, spec or PriorSpec(), recipe, n_train)


def modes(prior, names=HYPERPARAMETER_NAMES):
    return {name: prior.beliefs[name].mode for name in names}


def spreads(prior):
    return {name: belief.spread for name, belief in prior.beliefs.items()}


class TestUnfitWeight:
    def test_knows_nothing_at_no_difference(self):
        assert unfit_weight(0.0, 0.01) == 0.5

    def test_rises_with_the_difference(self):
        weights = [unfit_weight(fit / 100, 0.02) for fit in range(-30, 31, 5)]
        assert weights == sorted(set(weights))
        assert weights[0] < 0.001
        assert weights[-1] > 0.999

    @pytest.mark.parametrize("fit", [-0.1, 0.1])
    def test_few_validation_images_make_it_less_sure(self, fit):
        sure = [abs(unfit_weight(fit, error) - 0.5) for error in (0.0, 0.05, 0.2, 1.0)]
        assert sure == sorted(set(sure), reverse=True)
        assert sure[-1] < 0.05

    def test_columns_mirror_each_other(self):
        assert unfit_weight(0.07, 0.03) + unfit_weight(-0.07, 0.03) == pytest.approx(1)

    def test_is_the_normal_distribution_function(self):
        assert unfit_weight(0.05, 0.0) == pytest.approx(0.841345, abs=1e-6)

    def test_fisher_score_at_its_floor_speaks_against_the_weights(self):
        """And ten times it for them, neither for sure: it tells easy from hard targets as much."""
        at_floor, tenfold = (
            fisher_unfit(replace(NEUTRAL, fisher=factor * FLOOR)) for factor in (1, 10)
        )
        assert at_floor is not None
        assert tenfold is not None
        assert 0.7 < at_floor < 0.95
        assert 0.05 < tenfold < 0.3

    def test_fisher_alone(self):
        weights = [fisher_unfit(replace(NEUTRAL, **fisher(z))) for z in (-1, 0, 1)]
        assert weights == pytest.approx([0.841345, 0.5, 0.158655], abs=1e-6)


class TestSeveralLabels:
    MEASURED = replace(
        NEUTRAL,
        fixed_features=0.8,
        random_init=0.4,
        fisher=None,
        fisher_floor=None,
        fisher_floor_spread=None,
        emd=None,
        emd_similarity=None,
        objective="mean_average_precision",
        fixed_features_error=0.03,
        random_init_error=0.04,
    )

    def test_the_errors_are_those_of_mean_average_precision(self):
        assert self.MEASURED.fit_error == pytest.approx(0.05)
        assert Measures.from_dict(json.loads(json.dumps(self.MEASURED.as_dict()))) == self.MEASURED

    def test_the_fit_alone_decides(self):
        space = resolve(SpaceSpec(), 22)
        found = [
            build_prior(each, 22, space.ranges, PriorSpec(), RecipeSpec(), LONG)
            for each in (self.MEASURED, replace(self.MEASURED, random_init=None))
        ]
        assert found[0].unfit == unfit_weight(-0.4, 0.05)
        assert (found[1].unfit, found[1].disagreement) == (0.5, 0.0)
        assert found[0].disagreement == 0
        assert "half way" in found[1].beliefs["alpha"].moved_by

    def test_what_is_shown_says_so(self):
        rows = {row[0]: row[1] for row in measures_rows(self.MEASURED)}
        assert (rows["fixed features"], rows["difference"]) == ("80.0 %", "-40.0 +- 5.0")
        assert rows["Fisher score"] == rows["  ratio"] == rows["EMD similarity"] == "-"
        assert "mean average precision; the paper's are accuracies" in " ".join(
            footnotes(self.MEASURED)
        )
        failed = replace(self.MEASURED, random_init=None)
        assert "lies half way between the two columns" in meaning(failed, None)


class TestFitError:
    @pytest.mark.parametrize(("fixed", "random"), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
    def test_accuracies_of_0_and_1_are_not_certain(self, fixed, random):
        measures = [
            replace(NEUTRAL, fixed_features=fixed, random_init=random, n_val=n) for n in (4, 40)
        ]
        for found in measures:  # one right and one wrong image more
            n = found.n_val
            share = 1 / (n + 2)
            assert found.fit_error == pytest.approx(math.sqrt(2 * share * (1 - share) / n))
        few, many = (found.fit_error for found in measures)
        assert few is not None
        assert many is not None
        assert few > 5 * many

    def test_is_the_binomial_one_with_many_images(self):
        found = replace(NEUTRAL, fixed_features=0.9, random_init=0.6, n_val=100_000)
        assert found.fit_error == pytest.approx(math.sqrt((0.09 + 0.24) / 1e5), rel=1e-3)

    def test_of_nothing(self):
        assert replace(NEUTRAL, random_init=None).fit_error is None

    def test_a_handful_of_images_is_not_believed(self):
        unfit = [
            prior_of(fixed_features=1.0, random_init=0.6, n_val=n).unfit for n in (5, 50, 5000)
        ]
        assert unfit[0] > 0.01
        assert unfit == sorted(set(unfit), reverse=True)
        assert unfit[-1] < 1e-6


class TestPaper:
    """Table 7: its four data sets come out on the side it says, for every knob.

    Trained as there: 200 epochs of some 6,000 images in batches of 32, no range test.
    """

    IMAGES = 6000

    @pytest.mark.parametrize("name", ["Caltech", "DTD"])
    def test_weights_fit(self, name):
        measured, _ = PAPER[name]
        prior = prior_of(n_train=self.IMAGES, **measured)
        mode = prior.mode
        assert prior.unfit < 0.1
        assert 0.002 < mode.high_lr < 0.004
        assert prior.opposite.high_lr == pytest.approx(0.025, rel=0.01)
        assert mode.alpha > 10 * prior.opposite.alpha
        assert mode.beta > 2 * prior.opposite.beta
        assert mode.l2sp_layers >= 14
        assert mode.reinit_layers > 1
        assert mode.low_layers <= 2
        assert mode.low_lr_ratio > 0.85

    @pytest.mark.parametrize("name", ["Cars", "Aircraft"])
    def test_weights_do_not_fit(self, name):
        measured, _ = PAPER[name]
        prior = prior_of(n_train=self.IMAGES, **measured)
        mode = prior.mode
        assert prior.unfit > 0.9
        assert mode.high_lr == pytest.approx(0.025, rel=0.01)
        assert 0.002 < prior.opposite.high_lr < 0.003
        assert mode.alpha < prior.opposite.alpha / 10
        assert mode.beta < prior.opposite.beta / 2
        assert mode.l2sp_layers == 0
        assert mode.reinit_layers == 1
        assert 7 <= mode.low_layers <= 10
        assert mode.low_lr_ratio == pytest.approx(0.4, abs=0.1)

    @pytest.mark.parametrize("name", PAPER)
    def test_best_rate_is_near(self, name):
        measured, rate = PAPER[name]
        belief = prior_of(n_train=self.IMAGES, **measured).beliefs["high_lr"]
        assert abs(math.log10(belief.mode / rate)) < 0.2 < belief.spread
        assert 0.85 < abs(math.log10(belief.mode / belief.opposite)) < 1.01

    def test_opposite_is_the_other_column(self):
        fits, does_not = prior_of(**FITS), prior_of(**DOES_NOT_FIT)
        for one, other in ((fits.opposite, does_not.mode), (does_not.opposite, fits.mode)):
            assert one.as_dict() == pytest.approx(other.as_dict(), rel=0.01)

    def test_between_the_columns_is_wider_than_either(self):
        fits = spreads(prior_of(**FITS, **fisher(3)))
        does_not = spreads(prior_of(**DOES_NOT_FIT, **fisher(-3)))
        between = spreads(prior_of())
        for name in HYPERPARAMETER_NAMES:
            assert between[name] > max(fits[name], does_not[name])


class TestFisher:
    def test_disagreement_widens_and_moves_nothing(self):
        agrees, disagrees = (prior_of(**FITS, **fisher(z)) for z in (3, -3))
        assert agrees.disagreement < 0.1
        assert disagrees.disagreement > 0.9
        assert modes(disagrees) == modes(agrees)
        for name in HYPERPARAMETER_NAMES:
            assert spreads(disagrees)[name] > 1.5 * spreads(agrees)[name]

    @pytest.mark.parametrize(("sure", "sign"), [(FITS, 1), (DOES_NOT_FIT, -1)])
    def test_is_spoken_of_as_disagreement_from_the_other_side_alone(self, sure, sign):
        same_side = [prior_of(**sure, **fisher(sign * z)).disagreement for z in (3, 1, 0.01)]
        assert same_side == sorted(same_side)
        assert same_side[-1] <= DISAGREEMENT < prior_of(**sure, **fisher(sign * -0.3)).disagreement

    def test_does_not_disagree_with_measures_that_are_unsure(self):
        for z in (-3, 0, 3):
            assert prior_of(**fisher(z)).disagreement <= DISAGREEMENT

    @pytest.mark.parametrize(("z", "unfit"), [(3, 0.25), (0, 0.5), (-3, 0.75)])
    def test_stands_in_at_half_its_word_where_random_initialisation_failed(self, z, unfit):
        prior = prior_of(random_init=None, **fisher(z))
        assert prior.unfit == pytest.approx(unfit, abs=0.001)
        assert prior.disagreement == 0
        assert all("Fisher" in belief.moved_by for belief in prior.beliefs.values())

    def test_random_initialisation_decides_where_there_is_one(self):
        prior = prior_of(**FITS, **fisher(-3))
        assert prior.unfit < 0.01
        assert not any("Fisher" in belief.moved_by for belief in prior.beliefs.values())


class TestEmd:
    def test_has_no_say_unless_asked(self):
        assert prior_of(**FITS, emd_similarity=0.1) == prior_of(**FITS, emd_similarity=0.9)

    def test_has_a_say_where_asked(self):
        half = PriorSpec(emd_weight=0.5)
        assert prior_of(half, **FITS, emd_similarity=0.5).unfit == pytest.approx(0.5, abs=0.01)
        assert prior_of(half, **FITS, emd_similarity=0.6).unfit < 0.01
        belief = prior_of(half, **FITS, emd_similarity=0.5).beliefs["high_lr"]
        assert "EMD" in belief.moved_by

    def test_is_left_out_where_nothing_is_known_of_the_source(self):
        half = PriorSpec(emd_weight=0.5)
        assert prior_of(half, **FITS, emd_similarity=None) == prior_of(**FITS)


class TestUnits:
    @pytest.mark.parametrize("measured", [FITS, DOES_NOT_FIT, {}])
    def test_depths_go_with_the_network(self, measured):
        space = SpaceSpec(reinit_layers=Range(1, 12))
        small, large = (prior_of(space=space, n_body_layers=n, **measured) for n in (22, 88))
        for name in DEPTHS:
            least = int(name == "reinit_layers")
            one, four = small.beliefs[name], large.beliefs[name]
            assert four.mode - least == pytest.approx(4 * (one.mode - least), abs=2.5)
            assert four.spread == pytest.approx(4 * one.spread)
            assert four.mode == int(four.mode)
        for name in set(HYPERPARAMETER_NAMES) - set(DEPTHS):
            assert large.beliefs[name] == small.beliefs[name]

    def test_rate_goes_with_the_range_test(self):
        fits, does_not = (prior_of(lr_range=0.06, **measured) for measured in (FITS, DOES_NOT_FIT))
        for prior in (fits, does_not):
            assert prior.lr_scale == 0.06
        assert does_not.mode.high_lr == pytest.approx(0.06, rel=1e-4)
        assert fits.mode.high_lr == pytest.approx(0.006, rel=1e-4)
        assert "range test" in fits.lr_scale_from
        # the range test was done with them
        recipe = RecipeSpec(epochs=200, batch_size=8, momentum=0.5)
        assert prior_of(lr_range=0.06, recipe=recipe, **FITS) == fits

    @pytest.mark.parametrize("measured", [FITS, DOES_NOT_FIT, {}])
    def test_rate_goes_with_batch_and_momentum_where_there_was_no_range_test(self, measured):
        def prior(**recipe):
            wide = SpaceSpec(high_lr=Range(1e-6, 1.0))
            return prior_of(space=wide, recipe=RecipeSpec(epochs=200, **recipe), **measured)

        plain, batch, momentum = prior(), prior(batch_size=8), prior(momentum=0.95)
        assert plain.lr_scale == pytest.approx(0.025)
        for changed, factor in ((batch, 1 / 4), (momentum, 1 / 2)):
            assert changed.lr_scale == pytest.approx(factor * plain.lr_scale)
            for side in ("mode", "opposite"):
                rates = [getattr(prior.beliefs["high_lr"], side) for prior in (plain, changed)]
                assert rates[1] == pytest.approx(factor * rates[0])
            assert spreads(changed) == spreads(plain)
            others = [name for name in HYPERPARAMETER_NAMES if name != "high_lr"]
            assert modes(changed, others) == modes(plain, others)
        assert "batches of 8 and momentum 0.9" in batch.lr_scale_from
        assert "batches of 32 and momentum 0.95" in momentum.lr_scale_from

    @pytest.mark.parametrize("measured", [FITS, DOES_NOT_FIT, {}])
    def test_adamw_has_lower_rates_and_stronger_decay(self, measured):
        wide = SpaceSpec(high_lr=Range(1e-6, 1.0), alpha=Range(1e-6, 9.0), beta=Range(1e-6, 9.0))
        sgd, adamw, small = (
            prior_of(space=wide, recipe=RecipeSpec(epochs=200, **recipe), **measured)
            for recipe in ({}, {"optimizer": "adamw"}, {"optimizer": "adamw", "batch_size": 8})
        )
        assert adamw.lr_scale == pytest.approx(0.001)
        assert small.lr_scale == pytest.approx(0.0005)
        assert "AdamW" in adamw.lr_scale_from
        factors = {"high_lr": 0.001 / 0.025, "alpha": 10, "beta": 10}
        for name in HYPERPARAMETER_NAMES:
            for side in ("mode", "opposite"):
                expected = factors.get(name, 1) * getattr(sgd.beliefs[name], side)
                assert getattr(adamw.beliefs[name], side) == pytest.approx(expected)
        assert spreads(adamw) == spreads(sgd)


class TestLengthOfTraining:
    """How low a rate suits fitting weights goes with the steps there are."""

    @staticmethod
    def prior(n_train, epochs, measured, **changes):
        recipe = RecipeSpec(epochs=epochs, warmup_epochs=0, **changes)
        return prior_of(recipe=recipe, n_train=n_train, lr_range=0.05, **measured)

    @pytest.mark.parametrize("measured", [FITS, DOES_NOT_FIT, {}])
    @pytest.mark.parametrize(("n_train", "epochs"), [(300, 10), (20, 10), (1, 1)])
    def test_columns_meet_at_the_range_tests_rate_where_it_is_short(
        self, n_train, epochs, measured
    ):
        prior = self.prior(n_train, epochs, measured)
        belief = prior.beliefs["high_lr"]
        assert (belief.mode, belief.opposite) == (pytest.approx(0.05), pytest.approx(0.05))
        assert belief.spread == pytest.approx(RULES["high_lr"].spread * (1 + prior.disagreement))

    @pytest.mark.parametrize("n_train", [300, 1000, 3000, 12_000])
    def test_rate_falls_in_proportion_from_there_to_a_tenth(self, n_train):
        lengths = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120]
        rates = [self.prior(n_train, epochs, FITS).mode.high_lr for epochs in lengths]
        steps = [epochs * (n_train // 32) for epochs in lengths]
        shares = [min(1, max(0.1, SHORT_STEPS / n)) for n in steps]
        assert rates == pytest.approx([0.05 * share for share in shares], rel=1e-4)
        assert rates == sorted(rates, reverse=True)
        assert len({round(rate, 5) for rate in rates}) >= 4
        assert rates[-1] == pytest.approx(0.005, rel=1e-4)

    def test_rate_falls_with_the_images_and_smaller_batches(self):
        by_images = [self.prior(n, 50, FITS).mode.high_lr for n in (300, 4000, 8000, 16_000)]
        assert by_images == sorted(set(by_images), reverse=True)
        by_batch = [self.prior(4000, 50, FITS, batch_size=n).mode.high_lr for n in (128, 32, 8)]
        assert by_batch == sorted(set(by_batch), reverse=True)

    def test_high_column_does_not_move(self):
        for n_train, epochs in ((300, 10), (3000, 100), (12_000, 200)):
            for rate in (
                self.prior(n_train, epochs, DOES_NOT_FIT).mode.high_lr,
                self.prior(n_train, epochs, FITS).opposite.high_lr,
            ):
                assert rate == pytest.approx(0.05, rel=1e-4)

    @pytest.mark.parametrize("measured", [FITS, DOES_NOT_FIT, {}])
    def test_nothing_else_moves(self, measured):
        short, long = self.prior(300, 10, measured), self.prior(12_000, 200, measured)
        assert short.lr_scale == long.lr_scale == 0.05
        for name in set(HYPERPARAMETER_NAMES) - {"high_lr"}:
            assert short.beliefs[name] == long.beliefs[name]

    def test_rule(self):
        steps = [1, SHORT_STEPS, 2 * SHORT_STEPS, 10 * SHORT_STEPS, 10**9]
        shares = [10 ** rule_of("high_lr", n).suited for n in steps]
        assert shares == pytest.approx([1, 1, 0.5, 0.1, 0.1])
        for n in steps:
            assert rule_of("high_lr", n) == replace(
                RULES["high_lr"], suited=rule_of("high_lr", n).suited
            )
            for name in set(RULES) - {"high_lr"}:
                assert rule_of(name, n) == RULES[name]


class TestDensity:
    @pytest.mark.parametrize("name", HYPERPARAMETER_NAMES)
    @pytest.mark.parametrize("measured", [FITS, DOES_NOT_FIT, {}])
    def test_is_the_normal_one_of_the_belief(self, measured, name):
        belief, given = prior_of(**measured).beliefs[name], resolve(SpaceSpec(), 22).ranges[name]
        values, heights = density(name, belief, given, 501)
        assert values.shape == heights.shape == (501,)
        assert (values[0], values[-1]) == pytest.approx((given.low, given.high), rel=1e-12)
        unit = (lambda v: v) if name in DEPTHS else np.log10
        steps = np.diff(unit(values))
        assert steps.min() > 0
        assert steps == pytest.approx(steps[0])
        distance = np.abs(unit(values) - unit(belief.mode))
        assert heights.max() == 1
        assert heights.argmax() == distance.argmin()
        expected = np.exp(-(distance**2) / 2 / belief.spread**2)
        assert heights == pytest.approx(expected / expected.max())
        assert expected.max() > 0.99  # the mode lies in the range

    def test_has_200_points_unless_asked(self):
        belief = prior_of().beliefs["alpha"]
        assert [len(part) for part in density("alpha", belief, Range(1e-4, 0.1))] == [200, 200]

    @pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("high_lr", 0.01)])
    def test_of_a_fixed_value(self, name, value):
        belief = prior_of(space=SpaceSpec(**{name: value})).beliefs[name]
        values, heights = density(name, belief, Range(value, value), 5)
        assert values == pytest.approx([value] * 5)
        assert heights.tolist() == [1] * 5

    @pytest.mark.parametrize("end", ["low", "high"])
    def test_of_a_mode_at_the_end_of_the_range(self, end):
        given = Range(1e-3, 1e-1)
        spec = PriorSpec(mode=KnobsSpec(high_lr=getattr(given, end)))
        _, heights = density("high_lr", prior_of(spec).beliefs["high_lr"], given, 50)
        assert heights.argmax() == (0 if end == "low" else 49)
        assert np.all(np.diff(heights) * (-1 if end == "low" else 1) > 0)

    @pytest.mark.filterwarnings("ignore:invalid value")
    def test_of_a_spread_far_below_the_distance_of_two_points(self):
        spec = PriorSpec(mode=KnobsSpec(high_lr=0.0123), spread=KnobsSpec(high_lr=1e-4))
        values, heights = density(
            "high_lr", prior_of(spec).beliefs["high_lr"], Range(1e-3, 1e-1), 50
        )
        assert heights.max() == 1
        assert heights.argmax() == np.abs(np.log10(values / 0.0123)).argmin()


class TestRanges:
    @pytest.mark.parametrize("measured", [FITS, DOES_NOT_FIT, {}])
    def test_modes_stay_inside(self, measured):
        space = SpaceSpec(
            reinit_layers=Range(3, 3),
            high_lr=Range(0.011, 0.012),
            low_lr_ratio=Range(0.6, 0.7),
            low_layers=Range(4, 5),
            alpha=Range(0.0, 0.0),
            beta=Range(1e-5, 1e-4),
            l2sp_layers=Range(9, 10),
        )
        prior = prior_of(space=space, **measured)
        for name, allowed in resolve(space, 22).ranges.items():
            assert allowed.low <= prior.beliefs[name].mode <= allowed.high
            assert allowed.low <= prior.beliefs[name].opposite <= allowed.high
        assert prior.mode.reinit_layers == 3
        assert prior.mode.alpha == 0

    @pytest.mark.parametrize(("lr_range", "nearest"), [(1.0, 0.1), (1e-5, 0.001)])
    def test_rate_of_the_range_test_is_moved_inside(self, lr_range, nearest):
        prior = prior_of(lr_range=lr_range, **DOES_NOT_FIT)
        assert prior.lr_scale == lr_range
        assert prior.mode.high_lr == nearest


class TestOverrides:
    def test_of_modes_and_spreads(self):
        spec = PriorSpec(mode=KnobsSpec(high_lr=0.05, low_layers=7), spread=KnobsSpec(high_lr=0.1))
        ruled, prior = prior_of(**FITS), prior_of(spec, **FITS)
        rate, depth = prior.beliefs["high_lr"], prior.beliefs["low_layers"]
        assert (rate.mode, rate.spread) == (0.05, 0.1)
        assert (depth.mode, depth.spread) == (7, ruled.beliefs["low_layers"].spread)
        for belief in (rate, depth):
            assert belief.rule.startswith("set by the spec; the rule gave ")
            assert belief.moved_by == "[prior]"
        assert f"{ruled.beliefs['high_lr'].mode:.3g}" in rate.rule
        for name in set(HYPERPARAMETER_NAMES) - {"high_lr", "low_layers"}:
            assert prior.beliefs[name] == ruled.beliefs[name]

    def test_of_a_spread_alone_leaves_the_mode_to_the_measures(self):
        ruled = prior_of(**FITS).beliefs["alpha"]
        found = prior_of(PriorSpec(spread=KnobsSpec(alpha=0.2)), **FITS).beliefs["alpha"]
        assert (found.mode, found.spread) == (ruled.mode, 0.2)
        assert found.rule.startswith("set by the spec")
        assert found.moved_by == ruled.moved_by

    @pytest.mark.parametrize(("measured", "rate"), [(FITS, 0.002), (DOES_NOT_FIT, 0.02)])
    def test_of_the_rates_scale(self, measured, rate):
        recipe = RecipeSpec(epochs=200, batch_size=8)
        prior = prior_of(PriorSpec(lr_scale=0.02), recipe=recipe, lr_range=0.5, **measured)
        assert prior.lr_scale == 0.02
        assert prior.lr_scale_from == "prior.lr_scale in the spec"
        assert prior.mode.high_lr == pytest.approx(rate, rel=1e-4)

    def test_outside_the_range(self):
        spec = PriorSpec(mode=KnobsSpec(high_lr=5.0, low_layers=23, beta=0.001))
        with pytest.raises(SpecError) as caught:
            prior_of(spec)
        assert caught.value.problems == (
            "prior.mode.high_lr = 5: must lie within the study's range [0.001, 0.1]",
            "prior.mode.low_layers = 23: must lie within the study's range [0, 22]",
        )

    def test_at_the_end_of_the_range(self):
        spec = PriorSpec(mode=KnobsSpec(high_lr=0.1, low_layers=22))
        assert modes(prior_of(spec), ["high_lr", "low_layers"]) == {
            "high_lr": 0.1,
            "low_layers": 22,
        }


@pytest.mark.parametrize(("takes_head", "expected"), [(True, 6), (False, 5)])
def test_as_many_trials_are_queued_as_room_is_kept_for(takes_head, expected):
    space = resolve(SpaceSpec(), 22, takes_head)
    queued = starting_trials(prior_of(), space, 2, seed=0)
    assert len(queued) == most_starting_trials(space, 2) == expected
    assert len({trial.origin for trial in queued}) == expected - 1  # two draws


@pytest.mark.parametrize("spec", [PriorSpec(), PriorSpec(mode=KnobsSpec(low_layers=7))])
def test_storing(spec):
    prior = prior_of(spec, **FITS)
    assert Prior.from_dict(json.loads(json.dumps(prior.as_dict()))) == prior
    measures = replace(NEUTRAL, random_init=None, emd=None)
    assert Measures.from_dict(json.loads(json.dumps(measures.as_dict()))) == measures


@pytest.mark.parametrize(
    ("trials", "share", "epochs", "expected"),
    [
        (40, 0.05, 20, 40),
        (16, 0.05, 10, 10),
        (4, 0.05, 20, 16),
        (1, 0.05, 20, 4),
        (1, 0.05, 4, 1),
        (1, 0.05, 1, 1),
        (4, 0.5, 20, 40),
        (1, 1.0, 20, 20),
    ],
)
def test_measuring_is_a_small_share_of_the_whole(trials, share, epochs, expected):
    from tlsearch.measures import random_init_epochs, random_init_spec
    from tlsearch.spec import parse_spec, to_toml_dict

    spec = parse_spec(
        {
            "name": "a",
            "data": {"path": "x"},
            "backbone": {"model": "resnet18"},
            "recipe": {"epochs": epochs},
            "budget": {"trials": trials},
            "measures": {"random_init_share": share},
        }
    )
    assert random_init_epochs(spec) == expected
    assert expected <= max(1, max(share, 0.2) * trials * epochs)
    measured = random_init_spec(spec, 10)
    assert parse_spec(to_toml_dict(measured)).recipe.epochs == expected
