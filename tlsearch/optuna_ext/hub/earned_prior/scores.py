"""How often each component of the sampler drew a trial that is among the best."""

import math
from bisect import bisect_left, insort

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import betaln

COMPONENT = "earned_prior:component"  # the system attribute that names who drew a trial
PRIOR, TPE, UNIFORM = "prior", "tpe", "uniform"


class ComponentScores:
    """The values of a study's finished trials: of all, and of each component.

    Trials are added once each, in any order.

    Args:
        study: the study; its direction says which values are good.

    Attributes:
        n_trials: how many were added.
    """

    def __init__(self, study: Study) -> None:
        self.n_trials = 0
        self._sign = 1 if study.direction is StudyDirection.MAXIMIZE else -1
        self._values: list[float] = []  # of complete trials, the worst first
        self._values_of: dict[str, list[float]] = {PRIOR: [], TPE: []}  # likewise
        self._n_trials_of = {PRIOR: 0, TPE: 0}

    def add(self, trial: FrozenTrial) -> None:
        """Add a complete or pruned trial."""
        self.n_trials += 1
        component = trial.system_attrs.get(COMPONENT)
        if component in self._n_trials_of:
            self._n_trials_of[component] += 1
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            insort(self._values, self._sign * trial.value)
            if component in self._values_of:
                insort(self._values_of[component], self._sign * trial.value)

    def standing(self) -> tuple[int, int, int, int]:
        """Return (wins, trials) of prior draws and of TPE's draws.

        A win is in the best quarter of all finished trials (at least one, with all that are as
        good as its last). Pruned trials never win.
        """
        n_best = min(math.ceil(self.n_trials / 4), len(self._values))
        least = self._values[-n_best] if n_best else math.inf
        wins = {
            name: len(values) - bisect_left(values, least)
            for name, values in self._values_of.items()
        }
        return wins[PRIOR], self._n_trials_of[PRIOR], wins[TPE], self._n_trials_of[TPE]


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
