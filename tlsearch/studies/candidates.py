"""Which configurations of a search are worth training again, by the noise-aware rule."""

from collections.abc import Sequence

from tlsearch.errors import StudyError
from tlsearch.estimate import expected_scores
from tlsearch.records import FIXED_FEATURES, Hyperparameters, TrialRecord
from tlsearch.records.finals_plan import Candidate
from tlsearch.store.expected import with_expected_score
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.trials import best_first


def ranked_candidates(study: StoredStudy, records: Sequence[TrialRecord]) -> list[Candidate]:
    """Return the distinct configurations of a search's complete trials, the best first.

    They are ranked by the score to expect of them on new images (`expected_scores`), not by
    the one they showed. Configurations that train the same model count once. The plain default is
    none of them: it is a baseline.

    Raises:
        StudyError: there is none.
    """
    found: dict[Hyperparameters, Candidate] = {}
    n_body = study.space.n_body_layers
    default = study.space.plain_default().canonical(n_body)
    for trial in best_first(_with_expected(study, records), "expected"):
        if trial.params is None or trial.origin == FIXED_FEATURES or trial.train_on != "train":
            continue
        canonical = trial.params.canonical(n_body)
        if canonical != default:
            found.setdefault(canonical, Candidate(trial.number, trial.params))
    if not found:
        raise StudyError(
            f"study {study.name!r} has no complete trial besides its baselines, so nothing can be "
            "a finalist; run tlsearch worker for it first"
        )
    return list(found.values())


def _with_expected(study: StoredStudy, records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return records with the scores to expect; those that no worker stored are computed."""
    complete = [record for record in records if record.state == "complete"]
    if all(record.expected_score is not None for record in complete):
        return complete
    found = expected_scores(records, study.space, study.data.n_val)
    return [
        with_expected_score(record, found[record.number].score)
        for record in complete
        if record.number in found
    ]
