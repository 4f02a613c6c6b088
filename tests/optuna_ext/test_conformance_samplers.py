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
)

PRIORS = {"x": NormalPrior(mode=1.0, spread=0.5), "y": NormalPrior(mode=5.0, spread=2.0)}


class TestEarnedPrior(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture(params=["priors", "no prior", "no startup"])
    def sampler(self, request) -> Callable[[], BaseSampler]:
        options = {"priors": {}, "no prior": {}, "no startup": {"n_startup_trials": 0}}
        priors = {} if request.param == "no prior" else PRIORS
        return lambda: EarnedPriorSampler(priors, seed=0, **options.get(request.param, {}))


class TestThinnedTPE(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ThinnedTPESampler(n_startup_trials=0, multivariate=True, seed=0)


class TestSeededPerTrial(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: SeededPerTrialSampler(
            lambda seed: TPESampler(n_startup_trials=0, multivariate=True, seed=seed), seed=0
        )
