"""The fine-tuning engine: hyperparameters in, learning curve out. Knows no search, no database."""

from tlsearch.finetune.engine import FineTuneData, fine_tune
from tlsearch.finetune.lr_range import lr_range_test
from tlsearch.finetune.param_groups import ParameterGroup, group_parameters
from tlsearch.finetune.reinit import initial_model

__all__ = [
    "FineTuneData",
    "ParameterGroup",
    "fine_tune",
    "group_parameters",
    "initial_model",
    "lr_range_test",
]
