"""Domain measures: how well the pretrained weights fit the target (Plested et al., Table 1)."""

from tlsearch.measures.features import Features, check_size, features_of, features_of_splits
from tlsearch.measures.fisher import FisherScore, fisher_score
from tlsearch.measures.fixed_features import (
    FixedFeatures,
    fixed_features,
    logits_of_folds,
    probes_of_folds,
)
from tlsearch.measures.kept_probe import kept_linear_probe
from tlsearch.measures.linear_probe import VERSION as PROBE_VERSION
from tlsearch.measures.linear_probe import LinearProbe, linear_probe, right_alone
from tlsearch.measures.measure import FeatureMeasures, measure_features
from tlsearch.measures.per_image import per_image, right_of, score_error
from tlsearch.measures.random_init import random_init_epochs, random_init_spec
from tlsearch.measures.several_labels import as_predicted, average_precision_of_each

__all__ = [
    "PROBE_VERSION",
    "FeatureMeasures",
    "Features",
    "FisherScore",
    "FixedFeatures",
    "LinearProbe",
    "as_predicted",
    "average_precision_of_each",
    "check_size",
    "features_of",
    "features_of_splits",
    "fisher_score",
    "fixed_features",
    "kept_linear_probe",
    "linear_probe",
    "logits_of_folds",
    "measure_features",
    "per_image",
    "probes_of_folds",
    "random_init_epochs",
    "random_init_spec",
    "right_alone",
    "right_of",
    "score_error",
]
