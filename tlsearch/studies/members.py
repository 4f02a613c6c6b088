"""The spec and the attributes of a study that is made from a search and trains what it found."""

from typing import Any

from tlsearch.errors import InputError, StudyError
from tlsearch.records.names import LONGEST_NAME
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
FEWEST_SEEDS, MOST_SEEDS = 2, 100


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
    if len(name) > LONGEST_NAME:
        raise StudyError(
            f"study {spec.name!r}: its name has {len(spec.name)} characters, and "
            f"{LONGEST_NAME - len(suffix)} leave room for {suffix} after it; make a study of a "
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


def check_runs(seeds: int | None, gpu_hours: float | None) -> None:
    """Check how often to train each configuration, and for how long at most; None = not given.

    Raises:
        InputError: a number out of its range.
    """
    if seeds is not None and not FEWEST_SEEDS <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds {seeds}: must lie between {FEWEST_SEEDS} and {MOST_SEEDS}")
    if gpu_hours is not None and not 0 < gpu_hours < float("inf"):
        raise InputError(f"--gpu-hours {gpu_hours:g}: must be above 0")


def refuse_fewer(member: StoredStudy, option: str, wanted: int | None, there: int) -> None:
    """Refuse fewer runs than a study of a family has; None = as many as there are.

    Raises:
        StudyError: fewer are wanted.
    """
    if wanted is not None and wanted < there:
        raise StudyError(
            f"--{option} {wanted}: study {member.name!r} has {there} already, and what was trained "
            f"is not thrown away; leave --{option} out, or delete that study first"
        )


def member_attrs(search: StoredStudy, spec: StudySpec) -> dict[str, Any]:
    """Return the user attributes of a study of a search's family, whose spec is `member_spec`."""
    attrs = to_attrs(spec, search.space, search.data, search.backbone, provenance())
    floor = {FLOOR: True} if search.has_floor else {}
    return attrs | family_attrs(search) | floor
