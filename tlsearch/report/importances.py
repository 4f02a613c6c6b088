"""Optuna's importances of the hyperparameters of a search."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.records import FIXED_FEATURES, HYPERPARAMETER_NAMES

if TYPE_CHECKING:
    from optuna.importance import BaseImportanceEvaluator

FEWEST_TRIALS = 8  # below that they say nothing


def importances(trials: Sequence[FrozenTrial]) -> dict[str, dict[str, float]]:
    """Return the importances of the seven hyperparameters, by evaluator: `fanova`, `ped_anova`.

    Both are computed by Optuna from the complete trials of a search, without fixed features, whose
    value belongs to no point of the space. What cannot be computed is left out.

    Args:
        trials: of the search, in any state.
    """
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    complete = [t for t in trials if _counts(t)]
    if len(complete) < FEWEST_TRIALS or len({t.value for t in complete}) < 2:
        return {}
    found = {}
    evaluators = {
        "fanova": FanovaImportanceEvaluator(seed=0),
        "ped_anova": PedAnovaImportanceEvaluator(),
    }
    for name, evaluator in evaluators.items():
        with suppress(RuntimeError, ValueError):  # no variance, or all of one value
            found[name] = shares_of(complete, evaluator)
    return found


def shares_of(
    trials: Sequence[FrozenTrial], evaluator: "BaseImportanceEvaluator"
) -> dict[str, float]:
    """Return the importance of each parameter of complete trials, as shares of 1.

    Raises:
        RuntimeError, ValueError: the evaluator cannot tell.
    """
    import optuna

    with without_notices():
        study = optuna.create_study(direction="maximize")
        study.add_trials(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is experimental
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def _counts(trial: FrozenTrial) -> bool:
    has_all = set(HYPERPARAMETER_NAMES) <= set(trial.params)
    is_floor = trial.user_attrs.get("origin") == FIXED_FEATURES
    return trial.state is TrialState.COMPLETE and has_all and not is_floor
