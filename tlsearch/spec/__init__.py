"""The study spec: what to fine-tune, on what, how, and where to search."""

from tlsearch.spec.candidates import CandidateSpec
from tlsearch.spec.data import HF, PAPER, S3, TORCHVISION, ColumnsSpec, DataSpec
from tlsearch.spec.legacy import LEGACY, in_words_of, with_legacy_values, without_legacy_values
from tlsearch.spec.load import decoded, differences, load_spec, parse_spec, spec_hash, to_toml_dict
from tlsearch.spec.running import BudgetSpec, CheckpointsSpec, WorkersSpec
from tlsearch.spec.search import (
    KnobsSpec,
    MeasuresSpec,
    PriorSpec,
    PrunerSpec,
    SamplerSpec,
    SpaceSpec,
)
from tlsearch.spec.study import StudySpec
from tlsearch.spec.training import (
    MAGNITUDES,
    BackboneSpec,
    Optimizer,
    RecipeSpec,
)

__all__ = [
    "HF",
    "LEGACY",
    "MAGNITUDES",
    "PAPER",
    "S3",
    "TORCHVISION",
    "BackboneSpec",
    "BudgetSpec",
    "CandidateSpec",
    "CheckpointsSpec",
    "ColumnsSpec",
    "DataSpec",
    "KnobsSpec",
    "MeasuresSpec",
    "Optimizer",
    "PriorSpec",
    "PrunerSpec",
    "RecipeSpec",
    "SamplerSpec",
    "SpaceSpec",
    "StudySpec",
    "WorkersSpec",
    "decoded",
    "differences",
    "in_words_of",
    "load_spec",
    "parse_spec",
    "spec_hash",
    "to_toml_dict",
    "with_legacy_values",
    "without_legacy_values",
]
