"""Draws from a prior follow the truncated normal distribution."""

import math

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from scipy import stats

from tlsearch.optuna_ext.earned_prior import (
    NormalPrior,
    draw,
)


def draws(prior, distribution, n, seed=0):
    generator = np.random.default_rng(seed)
    return [draw(prior, distribution, generator) for _ in range(n)]


def truncated(mode, spread, low, high):
    return stats.truncnorm((low - mode) / spread, (high - mode) / spread, mode, spread)


class TestDraw:
    @pytest.mark.parametrize(
        "distribution",
        [
            FloatDistribution(-3.0, 2.0),
            FloatDistribution(1e-5, 1e-1, log=True),
            FloatDistribution(0.1, 0.3, step=0.1),
            FloatDistribution(0.0, 0.98, step=0.07),
            IntDistribution(1, 17),
            IntDistribution(0, 98, step=7),
            IntDistribution(1, 1000, log=True),
            IntDistribution(4, 4),
        ],
    )
    @pytest.mark.parametrize("spread", [1e-6, 0.5, 100.0])
    def test_stays_in_the_range_and_on_its_steps(self, distribution, spread):
        modes = (-1e9, -1.0, 0.0, 1e-3, 0.2, 9.4, 1e9)
        for value in [v for m in modes for v in draws(NormalPrior(m, spread), distribution, 30)]:
            assert distribution.low <= value <= distribution.high
            assert type(value) is (int if isinstance(distribution, IntDistribution) else float)
            if distribution.step is not None:
                steps = (value - distribution.low) / distribution.step
                assert steps == pytest.approx(round(steps), abs=1e-9)

    @pytest.mark.parametrize(("mode", "spread"), [(0.7, 0.2), (-2.0, 1.0), (4.0, 0.7), (0.5, 50.0)])
    def test_is_a_truncated_normal(self, mode, spread):
        found = draws(NormalPrior(mode, spread), FloatDistribution(0.0, 1.0), 3000)
        assert stats.kstest(found, truncated(mode, spread, 0.0, 1.0).cdf).pvalue > 0.01

    @pytest.mark.parametrize(("mode", "spread"), [(0.01, 0.5), (1e-4, 0.3), (0.03, 30.0)])
    def test_spread_is_in_decades_on_a_logarithmic_scale(self, mode, spread):
        distribution = FloatDistribution(1e-3, 1e-1, log=True)
        found = np.log10(draws(NormalPrior(mode, spread), distribution, 3000))
        expected = truncated(math.log10(mode), spread, -3, -1)
        assert stats.kstest(found, expected.cdf).pvalue > 0.01

    @pytest.mark.parametrize(("mode", "spread"), [(5, 2.0), (1, 3.0), (12, 1.5)])
    def test_integers_are_rounded(self, mode, spread):
        found = draws(NormalPrior(mode, spread), IntDistribution(1, 9), 4000)
        edges = truncated(mode, spread, 0.5, 9.5).cdf(np.arange(0.5, 10))
        expected = 4000 * np.diff(edges)
        seen = np.bincount(found, minlength=10)[1:]
        common = expected > 5
        chi2 = ((seen - expected)[common] ** 2 / expected[common]).sum()
        assert stats.chi2(common.sum() - 1).sf(chi2) > 0.01

    @pytest.mark.parametrize("spread", [1e6, 1e13, math.inf])
    def test_very_wide_is_uniform(self, spread):
        found = draws(NormalPrior(0.5, spread), FloatDistribution(0.0, 1.0), 2000)
        assert stats.kstest(found, stats.uniform.cdf).pvalue > 0.01

    def test_mode_far_outside_gives_the_nearest_end(self):
        distribution = FloatDistribution(1e-3, 1e-1, log=True)
        assert draws(NormalPrior(1e3, 0.1), distribution, 1) == pytest.approx([0.1])
        assert draws(NormalPrior(1e-9, 0.1), distribution, 1) == pytest.approx([0.001])

    @pytest.mark.parametrize(
        "distribution", [FloatDistribution(0.0, 10.0, step=5.0), IntDistribution(0, 10, step=5)]
    )
    def test_steps_share_a_flat_prior_evenly(self, distribution):
        found = draws(NormalPrior(5, 1e4), distribution, 3000)
        assert stats.chisquare([found.count(value) for value in (0, 5, 10)]).pvalue > 0.01
