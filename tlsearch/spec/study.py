"""The whole study spec: a typed, frozen record whose fields are the keys of the TOML file."""

from pydantic import Field

from tlsearch.spec.fields import Table
from tlsearch.spec.running import BudgetSpec, CheckpointsSpec, WorkersSpec
from tlsearch.spec.search import MeasuresSpec, PriorSpec, PrunerSpec, SamplerSpec, SpaceSpec
from tlsearch.spec.training import BackboneSpec, DataSpec, RecipeSpec


class StudySpec(Table):
    """A whole study.

    Attributes:
        name: the study's name in the database.
        storage: a PostgreSQL URL; None = the embedded server. Never stored with the study.
    """

    name: str = Field(min_length=1, max_length=200)
    storage: str | None = None
    data: DataSpec
    backbone: BackboneSpec
    recipe: RecipeSpec = RecipeSpec()
    space: SpaceSpec = SpaceSpec()
    measures: MeasuresSpec = MeasuresSpec()
    prior: PriorSpec = PriorSpec()
    sampler: SamplerSpec = SamplerSpec()
    pruner: PrunerSpec = PrunerSpec()
    budget: BudgetSpec = BudgetSpec()
    workers: WorkersSpec = WorkersSpec()
    checkpoints: CheckpointsSpec = CheckpointsSpec()
