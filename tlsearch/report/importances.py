"""Optuna's importances of the hyperparameters of a search."""

import warnings
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.records import FIXED_FEATURES, HYPERPARAMETER_NAMES

FEWEST_TRIALS = 8  # below that they say nothing


def importances(trials: Sequence[FrozenTrial]) -> dict[str, dict[str, float]]:
    """Return the importances of the seven hyperparameters, by evaluator: `fanova`, `ped_anova`.

    Both are computed by Optuna from the complete trials of a search, without fixed features, whose
    value belongs to no point of the space. What cannot be computed is left out.

    Args:
        trials: of the search, in any state.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    complete = [t for t in trials if _counts(t)]
    if len(complete) < FEWEST_TRIALS or len({t.value for t in complete}) < 2:
        return {}
    with without_notices():
        study = optuna.create_study(direction="maximize")
        study.add_trials(complete)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is experimental
        evaluators = {
            "fanova": FanovaImportanceEvaluator(seed=0),
            "ped_anova": PedAnovaImportanceEvaluator(),
        }
        for name, evaluator in evaluators.items():
            try:
                shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
                found[name] = {knob: float(share) for knob, share in shares.items()}
            except (RuntimeError, ValueError):  # no variance, or all of one value
                continue
    return found


def _counts(trial: FrozenTrial) -> bool:
    has_all = set(HYPERPARAMETER_NAMES) <= set(trial.params)
    is_floor = trial.user_attrs.get("origin") == FIXED_FEATURES
    return trial.state is TrialState.COMPLETE and has_all and not is_floor
