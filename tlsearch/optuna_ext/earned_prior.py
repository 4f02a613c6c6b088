"""The earned-prior sampler of `hub/earned_prior`, fast on studies of many trials.

With plain Optuna:

    sampler = EarnedPriorSampler({"lr": NormalPrior(mode=0.01, spread=0.5)}, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
"""

from contextlib import AbstractContextManager

from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.study import Study

from tlsearch.optuna_ext.accumulators import CompleteSpace, accumulated
from tlsearch.optuna_ext.hub import earned_prior as hub
from tlsearch.optuna_ext.hub.earned_prior import (
    COMPONENT,
    PRIOR,
    TPE,
    UNIFORM,
    ComponentScores,
    NormalPrior,
    draw,
    earned_weight,
)
from tlsearch.optuna_ext.hub.earned_prior.sampler import require_one_objective
from tlsearch.optuna_ext.thinned_tpe import ThinnedTPESampler

__all__ = [
    "COMPONENT",
    "PRIOR",
    "TPE",
    "UNIFORM",
    "ComponentScores",
    "EarnedPriorSampler",
    "NormalPrior",
    "draw",
    "earned_weight",
    "standing",
]

_MAX_AGE_SECONDS = 1.0  # of what a draw knows, where the storage keeps a history


class EarnedPriorSampler(hub.EarnedPriorSampler):
    __doc__ = hub.EarnedPriorSampler.__doc__

    def _scores(self, study: Study) -> AbstractContextManager[ComponentScores]:
        return _component_scores(study)

    def _search_space(self, study: Study) -> dict[str, BaseDistribution]:
        with accumulated(CompleteSpace, study, _MAX_AGE_SECONDS) as space:
            return space.to_search()

    def _new_tpe(self, seed: int) -> TPESampler:
        return ThinnedTPESampler(seed=seed, n_startup_trials=0, multivariate=True)


def standing(study: Study) -> tuple[int, int, int, int]:
    """Return (wins, trials) of prior draws and of TPE's draws; see `ComponentScores.standing`.

    Raises:
        ValueError: the study has several objectives.
    """
    require_one_objective(study)
    with _component_scores(study) as scores:
        return scores.standing()


def _component_scores(study: Study) -> AbstractContextManager[ComponentScores]:
    # `get_trials`, which a view of a study overrides: in Hyperband each bracket has its own scores.
    return accumulated(ComponentScores, study, _MAX_AGE_SECONDS, "get_trials")
