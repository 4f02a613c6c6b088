"""Parts for Optuna that know nothing of tlsearch: a storage, samplers and a pruner.

They import Optuna, NumPy, SciPy and SQLAlchemy alone, each part when it is first used.
docs/optuna_ext.md shows each of them under plain `study.optimize`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlsearch.optuna_ext.earned_prior import EarnedPriorSampler, NormalPrior
    from tlsearch.optuna_ext.history import StudyHistory
    from tlsearch.optuna_ext.percentile_pruner import IncrementalPercentilePruner
    from tlsearch.optuna_ext.seeded import SeededPerTrialSampler
    from tlsearch.optuna_ext.storage import BatchedStorage
    from tlsearch.optuna_ext.thinned_tpe import ThinnedTPESampler

_MODULES = {
    "BatchedStorage": "storage",
    "EarnedPriorSampler": "earned_prior",
    "IncrementalPercentilePruner": "percentile_pruner",
    "NormalPrior": "earned_prior",
    "SeededPerTrialSampler": "seeded",
    "StudyHistory": "history",
    "ThinnedTPESampler": "thinned_tpe",
}

__all__ = [
    "BatchedStorage",
    "EarnedPriorSampler",
    "IncrementalPercentilePruner",
    "NormalPrior",
    "SeededPerTrialSampler",
    "StudyHistory",
    "ThinnedTPESampler",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
