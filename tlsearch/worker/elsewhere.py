"""Finds a run of a search's finalists that trained what a run of its knobs would train again."""

from optuna.trial import FrozenTrial, TrialState

from tlsearch.errors import StudyError
from tlsearch.records import Hyperparameters, Variation
from tlsearch.records.names import FINALISTS_SUFFIX, KNOBS_SUFFIX
from tlsearch.records.right import VAL_RIGHT
from tlsearch.store.family import read_member
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.duplicates import Duplicates
from tlsearch.worker.endings import Duplicate


def trained_elsewhere(
    context: WorkerContext, canonical: Hyperparameters, variation: Variation
) -> Duplicate | None:
    """Return the finalists' run that trained the same model; None where there is none.

    It is the same where images, network, recipe, canonical hyperparameters, seed and the images
    that are trained on are. Only the study of knobs asks: it keeps no models, so the accuracy of
    each validation image is all that it needs of a run.

    Args:
        context: of the worker on the study of knobs.
        canonical: the hyperparameters to look for.
        variation: the seed and the images to look for.
    """
    study = context.study
    if study.family_of is None or not study.name.endswith(KNOBS_SUFFIX):
        return None
    finalists = _finalists(context, study.family_of.name)
    if finalists is None or not study.trains_as(finalists):
        return None
    states = (TrialState.COMPLETE,)
    trials = context.database.get_all_trials(finalists.study_id, deepcopy=False, states=states)
    known = [trial for trial in trials if VAL_RIGHT in trial.user_attrs]
    found: FrozenTrial | None = Duplicates(study.spec.recipe.seed).find(known, canonical, variation)
    return None if found is None else Duplicate(found, finalists.name)


def _finalists(context: WorkerContext, search: str) -> StoredStudy | None:
    try:
        return read_member(context.database, find_study(context.database, search), FINALISTS_SUFFIX)
    except StudyError:  # the search was deleted, or another study has the name
        return None
