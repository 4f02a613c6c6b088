"""The whole study spec: a typed, frozen record whose fields are the keys of the TOML file."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tlsearch.records.objective import ACCURACY, Objective
from tlsearch.spec.data import DataSpec
from tlsearch.spec.fields import Table
from tlsearch.spec.multi_label import (
    check_objective,
    check_recipe_of,
    check_search,
    with_defaults,
)
from tlsearch.spec.running import BudgetSpec, CheckpointsSpec, FinalSpec, WorkersSpec
from tlsearch.spec.search import MeasuresSpec, PriorSpec, PrunerSpec, SamplerSpec, SpaceSpec
from tlsearch.spec.training import BackboneSpec, RecipeSpec

ADAMW_RANDOM_INIT_LR = 1e-3


class StudySpec(Table):
    """A whole study.

    Attributes:
        name: the study's name in the database.
        storage: a PostgreSQL URL; None = the embedded server. Never stored with the study.
        objective: which figure on the validation images the search makes best.
    """

    name: str = Field(min_length=1, max_length=200)
    storage: str | None = None
    objective: Objective = ACCURACY
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
    final: FinalSpec = FinalSpec()

    @model_validator(mode="before")
    @classmethod
    def _rate_of_adamw_from_random_weights(cls, given: Any) -> Any:
        """Let the default of `measures.random_init_lr` be one for the optimiser."""
        if not isinstance(given, Mapping) or not _uses_adamw(given.get("recipe")):
            return given
        measures = given.get("measures", {})
        if isinstance(measures, MeasuresSpec):
            measures = measures.model_dump(exclude_unset=True)
        if not isinstance(measures, Mapping):
            return given
        return {**given, "measures": {"random_init_lr": ADAMW_RANDOM_INIT_LR, **measures}}

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_several_labels(cls, given: Any) -> Any:
        """Let the defaults of some keys be those of several labels an image."""
        return with_defaults(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _fits_the_number_of_labels(self) -> "StudySpec":
        several = self.data.multi_label
        check_objective(self.objective, several=several)
        check_recipe_of(self.recipe, several=several)
        if several:
            check_search(self.measures, self.prior, self.budget)
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says what studies did that are older than the key."""
        values: dict[str, Any] = plain(self)
        if self.objective == ACCURACY:
            values.pop("objective", None)
        if self.final == FinalSpec():
            values.pop("final", None)
        return values


def _uses_adamw(recipe: Any) -> bool:
    found = recipe.get("optimizer") if isinstance(recipe, Mapping) else recipe
    return getattr(found, "optimizer", found) == "adamw"
