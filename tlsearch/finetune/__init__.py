"""The fine-tuning engine: hyperparameters in, learning curve out; no search and no database."""

from tlsearch.finetune.batch_size import few_values, steps_of
from tlsearch.finetune.check import check_recipe
from tlsearch.finetune.checkpoint import curve_of, load_weights, model_only
from tlsearch.finetune.engine import fine_tune
from tlsearch.finetune.fixed_features import FixedFeaturesModel, fixed_features_model
from tlsearch.finetune.images import FineTuneData
from tlsearch.finetune.lr_range import lr_range_test
from tlsearch.finetune.param_groups import ParameterGroup, group_parameters
from tlsearch.finetune.reinit import initial_model

__all__ = [
    "FineTuneData",
    "FixedFeaturesModel",
    "ParameterGroup",
    "check_recipe",
    "curve_of",
    "few_values",
    "fine_tune",
    "fixed_features_model",
    "group_parameters",
    "initial_model",
    "load_weights",
    "lr_range_test",
    "model_only",
    "steps_of",
]
