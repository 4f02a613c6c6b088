"""Optuna's own suites for samplers, `optuna.testing.pytest_samplers`, on each of ours."""

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler, TPESampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from tlsearch.optuna_ext import (
    EarnedPriorSampler,
    NormalPrior,
    SeededPerTrialSampler,
    ThinnedTPESampler,
    thinned_tpe,
)

Build = Callable[[], BaseSampler]
PRIORS = {"x": NormalPrior(mode=1.0, spread=0.5), "y": NormalPrior(mode=5.0, spread=2.0)}


class OneObjective(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """The suites for a sampler that refuses studies with several objectives."""


class SeveralObjectives(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    """The suites for a sampler that takes them."""


class TestEarnedPrior(OneObjective):
    """With trials enough for all three components."""

    @pytest.fixture
    def sampler(self) -> Build:
        return lambda: EarnedPriorSampler(PRIORS, seed=0)


@pytest.mark.slow
class TestEarnedPriorOfEachComponent(OneObjective):
    """Only the prior, only TPE, only uniform draws."""

    @pytest.fixture(params=["prior", "tpe", "uniform"])
    def sampler(self, request: pytest.FixtureRequest) -> Build:
        if request.param == "prior":
            return lambda: EarnedPriorSampler(PRIORS, uniform_share=0, max_share=1)
        if request.param == "tpe":
            return lambda: EarnedPriorSampler({}, uniform_share=0, n_startup_trials=0)
        return lambda: EarnedPriorSampler(PRIORS, uniform_share=1)


class TestThinnedTPE(SeveralObjectives):
    """Thinned from the tenth trial on, for the suites run no more than a hundred."""

    @pytest.fixture
    def sampler(self, monkeypatch: pytest.MonkeyPatch) -> Build:
        for name in ("_BEST", "_NEWEST", "_EVEN"):
            monkeypatch.setattr(thinned_tpe, name, 3)
        return lambda: ThinnedTPESampler(
            thin_above=9, n_startup_trials=0, multivariate=True, seed=0
        )


@pytest.mark.slow
class TestIndependentThinnedTPE(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """One parameter by one, as Optuna's default; such a sampler draws nothing jointly."""

    @pytest.fixture
    def sampler(self) -> Build:
        return lambda: ThinnedTPESampler(seed=0)


@pytest.mark.slow
class TestSeededPerTrial(SeveralObjectives):
    @pytest.fixture
    def sampler(self) -> Build:
        def tpe(seed: int) -> BaseSampler:
            return TPESampler(n_startup_trials=0, multivariate=True, seed=seed)

        return lambda: SeededPerTrialSampler(tpe, seed=0)
