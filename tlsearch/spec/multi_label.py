"""What a spec means, and what it may not say, where an image has several labels."""

from collections.abc import Mapping
from typing import Any

from tlsearch.records.objective import MEAN_AVERAGE_PRECISION, OF_ONE_LABEL, OF_SEVERAL_LABELS
from tlsearch.spec.fields import Table
from tlsearch.spec.running import BudgetSpec
from tlsearch.spec.search import MeasuresSpec, PriorSpec
from tlsearch.spec.training import RecipeSpec

_WITH = "where data.multi_label = true"
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "recipe": {"loss": "bce", "label_smoothing": 0.0},
}


def with_defaults(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a spec in which keys that are left out have the values of several labels an image.

    One label: the same spec.
    """
    data = given.get("data")
    several = data.get("multi_label") if isinstance(data, Mapping) else None
    if not (several is True or getattr(data, "multi_label", None) is True):
        return given
    found = {"objective": MEAN_AVERAGE_PRECISION, **given}
    for name, values in _DEFAULTS.items():
        table = found.get(name, {})
        if isinstance(table, Table):
            table = table.model_dump(exclude_unset=True)
        if isinstance(table, Mapping):
            found[name] = {**values, **table}
    return found


def check_objective(objective: str, *, several: bool) -> None:
    """Check that an objective is one of the number of labels.

    Raises:
        ValueError: it is not.
    """
    allowed = OF_SEVERAL_LABELS if several else OF_ONE_LABEL
    if objective not in allowed:
        names = ", ".join(f'"{name}"' for name in allowed)
        what = f"one label an image; {_WITH} give" if several else "several labels an image; give"
        raise ValueError(f'objective = "{objective}" is of {what} one of {names}')


def check_recipe_of(recipe: RecipeSpec, *, several: bool) -> None:
    """Check that a recipe is one of the number of labels.

    Raises:
        ValueError: it is not.
    """
    if not several:
        if recipe.loss == "bce":
            raise ValueError(
                'recipe.loss = "bce" is of several labels an image; leave it out, or set '
                "data.multi_label = true"
            )
        return
    if recipe.loss == "cross_entropy":
        raise ValueError(
            f'recipe.loss = "cross_entropy" is of one label an image; {_WITH} set "bce" or '
            '"focal", or leave it out'
        )
    if recipe.sampling == "balanced":
        raise ValueError(
            'recipe.sampling = "balanced" lets each class come as often, which images of several '
            'labels do not allow; leave it out, or set recipe.class_weights = "inverse"'
        )


def check_search(measures: MeasuresSpec, prior: PriorSpec, budget: BudgetSpec) -> None:
    """Check what goes by accuracy of one label an image.

    Raises:
        ValueError: something is asked for that several labels do not allow.
    """
    if measures.source is not None or prior.emd_weight:
        raise ValueError(
            "measures.source and prior.emd_weight are of the earth mover's distance, which goes by "
            f"classes that share no image; leave them out {_WITH}"
        )
    if budget.target_accuracy is not None:
        raise ValueError(
            f"budget.target_accuracy is of one label an image; leave it out {_WITH}, and set "
            "budget.patience_trials"
        )
