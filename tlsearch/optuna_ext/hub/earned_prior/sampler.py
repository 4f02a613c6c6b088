"""The sampler: which component draws a trial, and what it draws."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from .prior import NormalPrior, draw
from .scores import COMPONENT, PRIOR, TPE, UNIFORM, ComponentScores, earned_weight

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class EarnedPriorSampler(BaseSampler):
    """Mixes draws from a prior, multivariate TPE and a few uniform draws.

    The prior's share is `max_share` times the probability that prior draws reach the best quarter
    of all finished trials more often than TPE's draws do (`earned_weight`): it rises while they win
    and falls to nothing when they lose. The rest is TPE, or uniform until `n_startup_trials` have
    finished. TPE always keeps a share, for without draws of its own it could never win.

    What is drawn for a trial follows from the seed, the trial's number and the finished trials in
    the storage: any process draws the same, after any restart.

    The system attribute `earned_prior:component` of a trial names the component that drew it. An
    enqueued trial counts as a prior draw if its attribute says `prior`.

    Args:
        priors: by parameter name; parameters without one are drawn uniformly.
        seed: of every draw.
        n_startup_trials: finished trials before TPE draws.
        uniform_share: share of trials drawn uniformly whatever was earned.
        max_share: of the other trials, what the prior can earn at most.

    Raises:
        ValueError: a spread that is not above 0, or a share outside [0, 1]; at the first draw,
            a study with several objectives.
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
        self._n_startup_trials = n_startup_trials
        self._uniform_share = uniform_share
        self._max_share = max_share
        self._chosen: tuple[int, str] | None = None  # the last trial's key and component

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin the trial anew; the sampler may have served another study."""
        del study, trial
        self._chosen = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that all complete trials have, without those of a single value."""
        del trial
        require_one_objective(study)
        return self._search_space(study)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw all these parameters: TPE jointly, the other components one by one."""
        require_one_objective(study)
        if self._component(study, trial) == TPE:
            return self._tpe(trial).sample_relative(study, trial, search_space)
        return {
            name: self._draw_one(study, trial, name, distribution)
            for name, distribution in search_space.items()
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter from the prior or uniformly."""
        require_one_objective(study)
        return self._draw_one(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Do nothing: the finished trials in the storage say all there is to learn."""

    def weight(self, study: Study) -> float:
        """Return the prior's share of the trials not drawn uniformly, as finished ones stand."""
        if not self._priors:
            return 0.0
        require_one_objective(study)
        with self._scores(study) as scores:
            return self._max_share * earned_weight(*scores.standing())

    # What reads the finished trials; a subclass may read them in a faster way.

    def _scores(self, study: Study) -> AbstractContextManager[ComponentScores]:
        """Hold the scores of the finished trials that the study shows."""
        scores = ComponentScores(study)
        for trial in study.get_trials(deepcopy=False, states=FINISHED):
            scores.add(trial)
        return nullcontext(scores)

    def _search_space(self, study: Study) -> dict[str, BaseDistribution]:
        space = intersection_search_space(study._get_trials(deepcopy=False))
        return {name: space[name] for name in sorted(space) if not space[name].single()}

    def _new_tpe(self, seed: int) -> TPESampler:
        return TPESampler(seed=seed, n_startup_trials=0, multivariate=True)

    def _component(self, study: Study, trial: FrozenTrial) -> str:
        """Choose who draws this trial, once; a trial that is run again keeps its component."""
        chosen = self._chosen  # read once: other threads set it too
        if chosen is not None and chosen[0] == trial._trial_id:
            return chosen[1]
        component: str = trial.system_attrs.get(COMPONENT) or self._choose(study, trial)
        study._storage.set_trial_system_attr(trial._trial_id, COMPONENT, component)
        self._chosen = (trial._trial_id, component)
        return component

    def _choose(self, study: Study, trial: FrozenTrial) -> str:
        chance = np.random.default_rng([self._seed, trial.number]).random()
        if chance < self._uniform_share:
            return UNIFORM
        chance = (chance - self._uniform_share) / (1 - self._uniform_share)
        if chance < self.weight(study):
            return PRIOR
        with self._scores(study) as scores:
            return TPE if scores.n_trials >= self._n_startup_trials else UNIFORM

    def _draw_one(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Draw from the prior where it is its turn, else uniformly.

        The generator depends on the name, so the order of the parameters does not matter.
        """
        generator = np.random.default_rng(
            [self._seed, trial.number, *name.encode("utf-8", "surrogateescape")]
        )
        prior = self._priors.get(name)
        if (
            prior is not None
            and isinstance(distribution, FloatDistribution | IntDistribution)
            and self._component(study, trial) == PRIOR
        ):
            return draw(prior, distribution, generator)
        uniform = RandomSampler(seed=int(generator.integers(2**31)))
        return uniform.sample_independent(study, trial, name, distribution)

    def _tpe(self, trial: FrozenTrial) -> TPESampler:
        generator = np.random.default_rng([self._seed, trial.number, 1])
        return self._new_tpe(int(generator.integers(2**31)))


def require_one_objective(study: Study) -> None:
    """Raise ValueError for a study with several objectives."""
    if len(study.directions) != 1:
        raise ValueError("EarnedPriorSampler ranks trials by one objective; the study has several")
