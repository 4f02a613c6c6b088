"""The spec and the attributes of a study that is made from a search and trains what it found."""

from typing import Any

from tlsearch.errors import StudyError
from tlsearch.spec import (
    BudgetSpec,
    MeasuresSpec,
    PriorSpec,
    PrunerSpec,
    SamplerSpec,
    StudySpec,
)
from tlsearch.store.family import family_attrs
from tlsearch.store.stored_study import FLOOR, StoredStudy, to_attrs
from tlsearch.studies.provenance import provenance

KEEP_ALL = 10**6  # models
_LONGEST_NAME = 200


def member_spec(
    spec: StudySpec,
    suffix: str,
    n_trials: int,
    gpu_hours: float | None = None,
    *,
    keep: bool = True,
) -> StudySpec:
    """Return the spec of a study of a search's family: the same training, and nothing searched.

    Args:
        spec: of the search.
        suffix: of its name.
        n_trials: its budget of trials.
        gpu_hours: its budget of GPU-hours; None = no limit.
        keep: whether every model is kept; otherwise none.

    Raises:
        StudyError: the name of the search leaves no room for the suffix.
    """
    name = spec.name + suffix
    if len(name) > _LONGEST_NAME:
        raise StudyError(
            f"study {spec.name!r}: its name has {len(spec.name)} characters, and "
            f"{_LONGEST_NAME - len(suffix)} leave room for {suffix} after it; make a study of a "
            "shorter name like it: tlsearch create --from"
        )
    return spec.model_copy(
        update={
            "name": name,
            "measures": MeasuresSpec(when="off"),
            "prior": PriorSpec(),
            "sampler": SamplerSpec(name="random"),
            "pruner": PrunerSpec(name="none"),
            "budget": BudgetSpec(trials=n_trials, gpu_hours=gpu_hours),
            "checkpoints": spec.checkpoints.model_copy(
                update={"keep_best": KEEP_ALL if keep else 0}
            ),
        }
    )


def member_attrs(search: StoredStudy, spec: StudySpec) -> dict[str, Any]:
    """Return the user attributes of a study of a search's family, whose spec is `member_spec`."""
    attrs = to_attrs(spec, search.space, search.data, search.backbone, provenance())
    floor = {FLOOR: True} if search.has_floor else {}
    return attrs | family_attrs(search) | floor
