"""The study spec: what to fine-tune, on what, how, and where to search."""

from tlsearch.spec.load import differences, load_spec, parse_spec, spec_hash, to_toml_dict
from tlsearch.spec.model import (
    BackboneSpec,
    BudgetSpec,
    DataSpec,
    KnobsSpec,
    MeasuresSpec,
    PriorSpec,
    PrunerSpec,
    RecipeSpec,
    SamplerSpec,
    SpaceSpec,
    StudySpec,
    WorkersSpec,
)

__all__ = [
    "BackboneSpec",
    "BudgetSpec",
    "DataSpec",
    "KnobsSpec",
    "MeasuresSpec",
    "PriorSpec",
    "PrunerSpec",
    "RecipeSpec",
    "SamplerSpec",
    "SpaceSpec",
    "StudySpec",
    "WorkersSpec",
    "differences",
    "load_spec",
    "parse_spec",
    "spec_hash",
    "to_toml_dict",
]
