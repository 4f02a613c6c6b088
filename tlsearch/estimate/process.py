"""A Gaussian process over the scores of a study's trials.

It models the scores on a scale without ends (`tlsearch.estimate.link`), with a constant mean and a
Matern 5/2 kernel with a length scale for each hyperparameter. The noise of a trial is what the
validation images leave open, as far as trials differ in it, plus a training noise that is the same
for all and fitted.

With 4 to 20 trials the likelihood alone says little of nine parameters, so each has a prior and
the most probable ones are used. Source of the length scales': Hvarfner, Hellsten, Nardi, "Vanilla
Bayesian Optimization Performs Great in High Dimensions" (2024), equation 7. The others were chosen
by `bench/search/expected.py`.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from tlsearch.estimate.link import Linked

Array = NDArray[np.float64]

# All trials are validated on the same images, and are mostly wrong on the same ones. So much is
# left of the variance that images of their own would give their difference (decision 13).
_OWN_NOISE = 0.5
RESTARTS = 1  # beside the start at the priors' medians
_LENGTHS, _SIGNALS = (0.05, 50.0), (0.05, 20.0)  # bounds, in cubes and in the data's variances
_LENGTH_SPREAD = math.sqrt(3)  # of its log-normal prior
_SIGNAL_SPREAD = 0.6
_TRAINING_NOISE = 0.3  # its prior's median, as a share of what the images leave open
_TRAINING_SPREAD = 1.0
_TRAINING_BOUNDS = 40.0  # times less and more than that
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


class ScoreProcess:
    """The process, fitted; the same input gives the same process.

    Args:
        cube: hyperparameters scaled to 0 to 1, (trials, knobs).
        linked: scores of the trials on the validation images.
    """

    def __init__(self, cube: Array, linked: Linked) -> None:
        values, noise = linked.values, _OWN_NOISE * linked.noise
        self._back = linked.back
        self._mean = float(values.mean())
        self._scale = max(float(values.std()), math.sqrt(float(np.median(noise))))
        noise = noise / self._scale**2
        self._process = GaussianProcessRegressor(
            _kernel(cube.shape[1], float(np.median(noise))),
            alpha=noise,
            optimizer=_optimizer(_log_prior(cube.shape[1], float(np.median(noise)))),
            n_restarts_optimizer=RESTARTS,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at its bound
            self._process.fit(cube, (values - self._mean) / self._scale)

    def score(self, cube: Array) -> tuple[Array, Array]:
        """Return expected scores without noise and their standard deviations.

        Args:
            cube: hyperparameters as in the fit, (n, knobs).
        """
        mean, deviation = self._process.predict(cube, return_std=True)
        training = math.exp(self._process.kernel_.theta[-1])
        latent = np.sqrt(np.maximum(deviation**2 - training, 0.0))
        nodes = self._mean + self._scale * (mean[:, None] + latent[:, None] * _NODES)
        scores = self._back(nodes)
        weights = _WEIGHTS / _WEIGHTS.sum()
        expected = scores @ weights
        return expected, np.sqrt((scores - expected[:, None]) ** 2 @ weights)


def _kernel(n_knobs: int, noise: float) -> Any:
    lengths = Matern(np.full(n_knobs, 1.0), _LENGTHS, nu=2.5)
    bounds = noise / _TRAINING_BOUNDS, noise * _TRAINING_BOUNDS
    return ConstantKernel(1.0, _SIGNALS) * lengths + WhiteKernel(_TRAINING_NOISE * noise, bounds)


def _log_prior(n_knobs: int, noise: float) -> Callable[[Array], tuple[float, Array]]:
    """Return the logarithm of the priors' density, and its gradient, at the kernel's parameters.

    The parameters are logarithms: signal, length scales, training noise. The density is that of
    the length scales themselves, so that the prior's mode is below its median.
    """
    length = math.sqrt(2) + math.log(n_knobs) / 2
    centre = np.array([0.0, *[length] * n_knobs, math.log(_TRAINING_NOISE * noise)])
    spread = np.array([_SIGNAL_SPREAD, *[_LENGTH_SPREAD] * n_knobs, _TRAINING_SPREAD])
    own_scale = np.array([0.0, *[1.0] * n_knobs, 0.0])

    def log_prior(theta: Array) -> tuple[float, Array]:
        standard = (theta - centre) / spread
        value = -float(standard @ standard) / 2 - float(own_scale @ theta)
        return value, -standard / spread - own_scale

    return log_prior


def _optimizer(log_prior: Callable[[Array], tuple[float, Array]]) -> Callable[..., Any]:
    """Return what scikit-learn calls to find the kernel's parameters: likelihood times prior."""

    def find(objective: Callable[..., Any], start: Array, bounds: Array) -> tuple[Array, float]:
        def cost(theta: Array) -> tuple[float, Array]:
            likelihood, gradient = objective(theta, eval_gradient=True)
            prior, slope = log_prior(theta)
            return likelihood - prior, gradient - slope

        found = minimize(cost, start, jac=True, bounds=bounds, method="L-BFGS-B")
        return found.x, float(found.fun)

    return find
