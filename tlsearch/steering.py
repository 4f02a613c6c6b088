"""What a user tells a study that exists: trials of their own, another prior."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from optuna.storages import RDBStorage

from tlsearch.errors import SpecError, StudyError
from tlsearch.prior import Prior, check_overrides
from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES, Hyperparameters
from tlsearch.results import not_measured
from tlsearch.space import SearchSpace
from tlsearch.spec import StudySpec, differences, spec_hash, to_toml_dict
from tlsearch.store.connect import open_storage
from tlsearch.store.measured import enqueue, read_measures, read_prior, replace_prior
from tlsearch.store.studies import Seed, StoredStudy, find_study
from tlsearch.worker import prior_of, seeds_of


@dataclass(frozen=True)
class EditedPrior:
    """A prior under an edited `[prior]` table.

    Attributes:
        before: the prior the study has now; None where it has none.
        after: the prior it would have; None where the table turns it off.
        queued: number of the trial with the new mode, once it is kept and the budget leaves room.
    """

    before: Prior | None
    after: Prior | None
    queued: int | None = None


def enqueue_trial(
    study_name: str, values: Mapping[str, float], storage: str | None = None
) -> tuple[int, Hyperparameters]:
    """Queue a trial of the user's own; it runs after those queued before and is never pruned.

    Args:
        study_name: the study.
        values: hyperparameters by name; those left out take the plain default's value.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.

    Returns:
        Its number and all seven hyperparameters.

    Raises:
        SpecError: an unknown hyperparameter, or a value outside the study's range.
        StudyError: no such study, or its budget leaves no room for another trial.
    """
    database = open_storage(storage)
    study = find_study(database, study_name)
    space = SearchSpace.from_dict(study.space)
    problems = [p for name, value in values.items() for p in _problems(name, value, space)]
    if problems:
        raise SpecError(problems)
    whole = Hyperparameters.from_dict({**space.plain_default().as_dict(), **values})
    number = enqueue(database, study, Seed(whole, "user"))
    if number is None:
        raise StudyError(
            f"study {study_name!r}: its budget of {study.spec.budget.trials} trials is taken up, "
            "so a trial queued now would never run; create a study with a larger one"
        )
    return number, whole


def edit_prior(
    study_name: str, spec: StudySpec, storage: str | None = None, *, apply: bool = False
) -> EditedPrior:
    """Work out a study's prior under another `[prior]` table, and keep it if so wanted.

    Applied, the table becomes part of the study's spec, the new prior's mode is queued, and
    workers draw from the new prior from their next trial on.

    Args:
        study_name: the study.
        spec: the study's spec with another `[prior]` table.
        storage: a PostgreSQL URL; without one the environment's, or the embedded server.
        apply: whether to keep it.

    Raises:
        StudyError: no such study, it has not been measured, or the spec differs elsewhere.
        SpecError: an override outside the study's ranges.
    """
    database = open_storage(storage)
    study = find_study(database, study_name)
    measures = read_measures(database, study.study_id)
    if measures is None:
        raise not_measured(database, study)
    edited = study.spec.model_copy(update={"prior": spec.prior})
    _same_otherwise(edited, spec, study_name)
    stored = read_prior(database, study.study_id)
    space = SearchSpace.from_dict(study.space)
    check_overrides(spec.prior, space.ranges)
    after = prior_of(replace(study, spec=edited), measures)
    queued = _keep(database, study, edited, after, space) if apply else None
    return EditedPrior(Prior.from_dict(stored) if stored else None, after, queued)


def _keep(
    database: RDBStorage,
    study: StoredStudy,
    spec: StudySpec,
    prior: Prior | None,
    space: SearchSpace,
) -> int | None:
    attrs = {"spec": to_toml_dict(spec), "spec_hash": spec_hash(spec)}
    if prior is None:
        return replace_prior(database, study, attrs, None, None)
    (mode, *_) = seeds_of(prior, space, 0, spec.sampler.seed)
    return replace_prior(database, study, attrs, prior.as_dict(), mode)


def _same_otherwise(edited: StudySpec, given: StudySpec, study_name: str) -> None:
    differing = differences(to_toml_dict(edited), to_toml_dict(given))
    if differing:
        raise StudyError(
            f"study {study_name!r}: this spec differs in more than its [prior] (stored -> given): "
            f"{'; '.join(differing)}; edit nothing else"
        )


def _problems(name: str, value: float, space: SearchSpace) -> list[str]:
    if name not in HYPERPARAMETER_NAMES:
        return [f"{name}: no such hyperparameter; there are {', '.join(HYPERPARAMETER_NAMES)}"]
    allowed = space.ranges[name]
    if not math.isfinite(value):
        return [f"{name} = {value}: must be a finite number"]
    if name in DEPTHS and value != int(value):
        return [f"{name} = {value:g}: counts layers; give a whole number"]
    if not allowed.low <= value <= allowed.high:
        return [
            f"{name} = {value:g}: must lie within the study's range "
            f"[{allowed.low:g}, {allowed.high:g}]"
        ]
    return []
