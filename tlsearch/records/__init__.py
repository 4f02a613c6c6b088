"""The frozen records that stages pass to one another."""

from tlsearch.records.answer import (
    Answer,
    Lead,
    answer_of,
    answer_words,
    lead_sentence,
    recommended,
)
from tlsearch.records.hyperparameters import (
    DEPTHS,
    HYPERPARAMETER_NAMES,
    Hyperparameters,
    Range,
)
from tlsearch.records.measures import Measures
from tlsearch.records.names import BEING_CREATED_PREFIX, MEASURES_SUFFIX, measures_study_name
from tlsearch.records.prior import Belief, Prior
from tlsearch.records.sizes import SizeMeasure, size_lead, size_sentence
from tlsearch.records.study import (
    FIXED_FEATURES,
    Controls,
    Failure,
    QueuedTrial,
    StudyStatus,
    TrialRecord,
    reason_line,
)
from tlsearch.records.training import Decision, EpochReport, FineTuneResult, PredictedLabel
from tlsearch.records.variation import AS_RECIPE, TrainOn, Variation

__all__ = [
    "AS_RECIPE",
    "BEING_CREATED_PREFIX",
    "DEPTHS",
    "FIXED_FEATURES",
    "HYPERPARAMETER_NAMES",
    "MEASURES_SUFFIX",
    "Answer",
    "Belief",
    "Controls",
    "Decision",
    "EpochReport",
    "Failure",
    "FineTuneResult",
    "Hyperparameters",
    "Lead",
    "Measures",
    "PredictedLabel",
    "Prior",
    "QueuedTrial",
    "Range",
    "SizeMeasure",
    "StudyStatus",
    "TrainOn",
    "TrialRecord",
    "Variation",
    "answer_of",
    "answer_words",
    "lead_sentence",
    "measures_study_name",
    "reason_line",
    "recommended",
    "size_lead",
    "size_sentence",
]
