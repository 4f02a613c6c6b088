"""Parts for Optuna that know nothing of tlsearch: a storage, samplers and a pruner.

They import Optuna, NumPy, SciPy and SQLAlchemy alone. docs/optuna_ext.md shows each of them under
plain `study.optimize`.
"""

from tlsearch.optuna_ext.earned_prior import EarnedPriorSampler, NormalPrior
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.optuna_ext.percentile_pruner import IncrementalPercentilePruner
from tlsearch.optuna_ext.seeded import SeededPerTrialSampler
from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.optuna_ext.thinned_tpe import ThinnedTPESampler

__all__ = [
    "BatchedStorage",
    "EarnedPriorSampler",
    "IncrementalPercentilePruner",
    "NormalPrior",
    "SeededPerTrialSampler",
    "StudyHistory",
    "ThinnedTPESampler",
]
