"""An Optuna sampler that follows a prior as long as the prior wins.

Needs Optuna, NumPy and SciPy alone; with plain Optuna:

    sampler = EarnedPriorSampler({"lr": NormalPrior(mode=0.01, spread=0.5)}, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
"""

import math
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import betaln, ndtr, ndtri

from tlsearch.optuna_ext.accumulators import CompleteSpace, accumulated
from tlsearch.optuna_ext.thinned_tpe import ThinnedTPESampler

COMPONENT = "earned_prior:component"
PRIOR, TPE, UNIFORM = "prior", "tpe", "uniform"
_MAX_AGE_SECONDS = 1.0  # of what a draw knows, where the storage keeps a history


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """A belief on one parameter: a normal distribution cut off at the parameter's range.

    Attributes:
        mode: its centre, in the parameter's own units.
        spread: its standard deviation; decades where the parameter is searched on a logarithmic
            scale, else the parameter's own units.
    """

    mode: float
    spread: float


class EarnedPriorSampler(BaseSampler):
    """Mixes draws from a prior, multivariate TPE and a few uniform draws.

    The prior's share is `max_share` times the probability that prior draws reach the best quarter
    of all finished trials more often than TPE's draws do (`earned_weight`): it rises while they win
    and falls to nothing when they lose. The rest is TPE, or uniform until `n_startup_trials` have
    finished. TPE always keeps a share, for without draws of its own it could never win. All of it
    follows from the seed, the trial's number and the finished trials in the
    storage: any process computes the same, after any restart.

    Which component drew a trial is in its system attribute `earned_prior:component`; an enqueued
    trial counts as a prior draw if that says `prior`.

    Args:
        priors: by parameter name; parameters without one are drawn uniformly.
        seed: of every draw.
        n_startup_trials: finished trials before TPE draws.
        uniform_share: share of trials drawn uniformly whatever was earned.
        max_share: of the other trials, what the prior can earn at most.

    Raises:
        ValueError: a spread that is not above 0, or a share outside [0, 1].
    """

    def __init__(
        self,
        priors: Mapping[str, NormalPrior],
        *,
        seed: int = 0,
        n_startup_trials: int = 5,
        uniform_share: float = 0.05,
        max_share: float = 0.5,
    ) -> None:
        for name, prior in priors.items():
            if not prior.spread > 0:
                raise ValueError(f"the spread of {name} is {prior.spread}; it must be above 0")
        for name, share in {"uniform_share": uniform_share, "max_share": max_share}.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}; it must lie in [0, 1]")
        self._priors = dict(priors)
        self._seed = seed
        self._n_startup = n_startup_trials
        self._uniform_share = uniform_share
        self._max_share = max_share
        self._component_of: tuple[int, str] | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that all finished trials have, without those of a single value."""
        del trial
        with accumulated(CompleteSpace, study, _MAX_AGE_SECONDS) as space:
            return space.to_search()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw jointly where TPE draws; the other components draw each parameter by itself."""
        if self._component(study, trial) != TPE:
            return {}
        return self._tpe(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter from the prior or uniformly."""
        generator = np.random.default_rng(
            [self._seed, trial.number, *param_name.encode("utf-8", "surrogateescape")]
        )
        prior = self._priors.get(param_name)
        known = isinstance(param_distribution, FloatDistribution | IntDistribution)
        if prior is not None and known and self._component(study, trial) == PRIOR:
            return draw(prior, param_distribution, generator)  # type: ignore[arg-type]
        uniform = RandomSampler(seed=int(generator.integers(2**31)))
        return uniform.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Nothing: what is to be learnt is read from the storage."""

    def weight(self, study: Study) -> float:
        """Return the prior's share of the trials not drawn uniformly, as finished ones stand."""
        if not self._priors:
            return 0.0
        return self._max_share * earned_weight(*standing(study))

    def _component(self, study: Study, trial: FrozenTrial) -> str:
        """Choose who draws this trial, once; a trial that is run again keeps its component."""
        if self._component_of is not None and self._component_of[0] == trial._trial_id:
            return self._component_of[1]
        component = trial.system_attrs.get(COMPONENT) or self._choose(study, trial)
        study._storage.set_trial_system_attr(trial._trial_id, COMPONENT, component)
        self._component_of = (trial._trial_id, component)
        return component

    def _choose(self, study: Study, trial: FrozenTrial) -> str:
        chance = np.random.default_rng([self._seed, trial.number]).random()
        if chance < self._uniform_share:
            return UNIFORM
        chance = (chance - self._uniform_share) / (1 - self._uniform_share)
        if chance < self.weight(study):
            return PRIOR
        with _component_scores(study) as ledger:
            return TPE if ledger.n_trials >= self._n_startup else UNIFORM

    def _tpe(self, trial: FrozenTrial) -> ThinnedTPESampler:
        seed = int(np.random.default_rng([self._seed, trial.number, 1]).integers(2**31))
        return ThinnedTPESampler(seed=seed, n_startup_trials=0, multivariate=True)


def draw(
    prior: NormalPrior,
    distribution: FloatDistribution | IntDistribution,
    generator: np.random.Generator,
) -> float | int:
    """Draw from the prior cut off at the distribution's range; steps get the mass around them."""
    step = distribution.step
    margin = step / 2 if step is not None else 0.0
    ends = (distribution.low - margin, prior.mode, distribution.high + margin)
    low, mode, high = (math.log10(max(v, 1e-300)) if distribution.log else v for v in ends)
    below, above = (
        float(ndtr((low - mode) / prior.spread)),
        float(ndtr((high - mode) / prior.spread)),
    )
    if above > below:
        value = mode + prior.spread * float(ndtri(generator.uniform(below, above)))
    elif low <= mode <= high:  # so wide that the range is flat
        value = generator.uniform(low, high)
    else:  # so far away that only the nearest end is left
        value = low if mode < low else high
    value = min(max(value, low), high)
    value = 10**value if distribution.log else value
    if step is not None:
        value = distribution.low + round((value - distribution.low) / step) * step
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def standing(study: Study) -> tuple[int, int, int, int]:
    """Return (wins, trials) of prior draws and of TPE's draws; a win is in the best quarter.

    The best quarter is that of all finished trials, one at least, with all that are as good as its
    last. Pruned trials never win.
    """
    if len(study.directions) != 1:
        raise ValueError("EarnedPriorSampler ranks trials by one objective; the study has several")
    with _component_scores(study) as ledger:
        return ledger.standing()


def earned_weight(prior_wins: int, n_prior: int, tpe_wins: int, n_tpe: int) -> float:
    """Return the probability that prior draws win more often than TPE's.

    Both chances of winning are unknown, uniform at first, so each is a Beta(1 + wins, 1 + losses)
    distribution; before any trial the probability is 1/2.
    """
    a, b = 1 + prior_wins, 1 + n_prior - prior_wins
    c, d = 1 + tpe_wins, 1 + n_tpe - tpe_wins
    # P(X > Y) as a finite sum over X's integer parameter
    i = np.arange(a)
    terms = betaln(c + i, d + b) - np.log(b + i) - betaln(1 + i, b) - betaln(c, d)
    return min(1.0, float(np.exp(terms).sum()))


class ComponentScores:
    """How good the finished trials of a study are, in all and of each component."""

    def __init__(self, study: Study) -> None:
        self._sign = 1 if study.direction is StudyDirection.MAXIMIZE else -1
        self.n_trials = 0
        self._complete: list[float] = []  # the worst first, as those of each component
        self._of: dict[str, list[float]] = {PRIOR: [], TPE: []}
        self._counts = {PRIOR: 0, TPE: 0}

    def add(self, trial: FrozenTrial) -> None:
        """See `tlsearch.optuna_ext.accumulators.Accumulator`."""
        self.n_trials += 1
        component = trial.system_attrs.get(COMPONENT)
        if component in self._counts:
            self._counts[component] += 1
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            insort(self._complete, self._sign * trial.value)
            if component in self._of:
                insort(self._of[component], self._sign * trial.value)

    def standing(self) -> tuple[int, int, int, int]:
        """Return (wins, trials) of prior draws and of TPE's draws."""
        n_best = min(math.ceil(self.n_trials / 4), len(self._complete))
        least = self._complete[-n_best] if n_best else math.inf
        wins = {name: len(found) - bisect_left(found, least) for name, found in self._of.items()}
        return wins[PRIOR], self._counts[PRIOR], wins[TPE], self._counts[TPE]


def _component_scores(study: Study) -> AbstractContextManager[ComponentScores]:
    return accumulated(ComponentScores, study, _MAX_AGE_SECONDS, "get_trials")
