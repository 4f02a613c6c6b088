"""Optuna's suites for samplers on this package, as OptunaHub loads it."""

from collections.abc import Callable
from pathlib import Path

import optunahub
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

FOLDER = Path(__file__).resolve().parents[1]
module = optunahub.load_local_module(FOLDER.name, registry_root=str(FOLDER.parent))


class TestEarnedPrior(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """With trials enough for all three components."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        """Return what makes the sampler."""
        priors = {"x": module.NormalPrior(1.0, 0.5), "y": module.NormalPrior(5.0, 2.0)}
        return lambda: module.EarnedPriorSampler(priors, seed=0)
