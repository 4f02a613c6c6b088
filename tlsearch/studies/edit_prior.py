"""What a user may change of a study's prior while it runs."""

from dataclasses import dataclass

from optuna.storages import RDBStorage

from tlsearch.errors import StudyError
from tlsearch.prior import check_overrides, prior_of, starting_trials
from tlsearch.records import Prior
from tlsearch.space import SearchSpace
from tlsearch.spec import StudySpec, differences, to_toml_dict
from tlsearch.store.connect import open_storage
from tlsearch.store.measures import read_measures, read_prior, replace_prior
from tlsearch.store.stored_study import StoredStudy, spec_attrs
from tlsearch.store.studies import find_study
from tlsearch.studies.read import not_measured


@dataclass(frozen=True)
class EditedPrior:
    """A prior under an edited `[prior]` table.

    Attributes:
        before: the prior the study has now; None if it has none.
        after: the prior it would have; None if the table turns it off.
        queued: number of the trial with the new mode; None before it is kept, or if the budget
            leaves no room.
    """

    before: Prior | None
    after: Prior | None
    queued: int | None = None


def edit_prior(
    study_name: str, spec: StudySpec, storage: str | None = None, *, apply: bool = False
) -> EditedPrior:
    """Compute a study's prior under another `[prior]` table, and keep it with `apply`.

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
    space = study.space
    check_overrides(spec.prior, space.ranges)
    after = prior_of(edited, space, study.data.n_train, measures)
    queued = _keep(database, study, edited, after, space) if apply else None
    return EditedPrior(stored, after, queued)


def _keep(
    database: RDBStorage,
    study: StoredStudy,
    spec: StudySpec,
    prior: Prior | None,
    space: SearchSpace,
) -> int | None:
    attrs = spec_attrs(spec)
    if prior is None:
        return replace_prior(database, study, attrs, None, None)
    (mode, *_) = starting_trials(prior, space, 0, spec.sampler.seed)
    return replace_prior(database, study, attrs, prior, mode)


def _same_otherwise(edited: StudySpec, given: StudySpec, study_name: str) -> None:
    differing = differences(to_toml_dict(edited), to_toml_dict(given))
    if differing:
        raise StudyError(
            f"study {study_name!r}: this spec differs in more than its [prior] (stored -> given): "
            f"{'; '.join(differing)}; edit nothing else"
        )
