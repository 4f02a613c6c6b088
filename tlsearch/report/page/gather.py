"""Reads from the database, and from the artifacts, all that a report tells."""

import logging
from collections.abc import Mapping, Sequence

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from tlsearch.artifacts import artifacts_place, default_folder, open_artifacts, shown_files
from tlsearch.errors import StorageError, StudyError
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.records import TrialRecord, answer_of
from tlsearch.records.energy import energy_of
from tlsearch.report.page.facts import Extras, Facts, TrialFile
from tlsearch.report.page.trial_images import TITLES
from tlsearch.store.controls import read_controls
from tlsearch.store.measures import read_measures, read_prior, read_unmeasured
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.trials import best_first, trial_records

TOP = 3  # of the trials with pictures: the best, whose pictures are shown
LARGEST_PICTURE = 1_000_000  # bytes
_PNG = b"\x89PNG\r\n\x1a\n"

_log = logging.getLogger(__name__)


def gather(storage: RDBStorage, study: StoredStudy, extras: Extras) -> Facts:
    """Read what a report tells.

    Raises:
        StudyError: no trial of the study is complete.
    """
    history = StudyHistory(storage.engine, study.study_id)
    records = trial_records(storage, study.study_id, history)
    ranked = best_first(records)
    if not any(record.score is not None for record in ranked):
        raise _nothing_complete(study, records)
    frozen = history.trials()
    return Facts(
        study=study,
        trials=records,
        curves={trial.number: _curve(trial) for trial in frozen if trial.intermediate_values},
        ended={t.number: t.datetime_complete for t in frozen if t.datetime_complete is not None},
        energy={t.number: e for t in frozen if (e := energy_of(t.user_attrs)) is not None},
        controls=read_controls(storage.engine, study.study_id),
        measures=read_measures(storage, study.study_id),
        unmeasured=read_unmeasured(storage, study.study_id),
        prior=read_prior(storage, study.study_id),
        answer=answer_of(ranked, study.data.n_val),
        files=_pictures(study, ranked, {trial.number: trial for trial in frozen}),
        extras=extras,
    )


def _nothing_complete(study: StoredStudy, records: Sequence[TrialRecord]) -> StudyError:
    failed = sum(record.state == "fail" for record in records)
    said = f" ({failed} failed)" if failed else ""
    return StudyError(
        f"study {study.name!r} has no complete trial yet{said}, so there is nothing to report; "
        "tlsearch worker runs trials, and tlsearch status says where it stands"
    )


def _curve(trial: FrozenTrial) -> tuple[float, ...]:
    return tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values))


def _pictures(
    study: StoredStudy, ranked: Sequence[TrialRecord], frozen: Mapping[int, FrozenTrial]
) -> tuple[TrialFile, ...]:
    """Read the pictures of the best trials; those that cannot be read are left out."""
    with_files = [(t.number, found) for t in ranked if (found := _named_files(frozen[t.number]))]
    named = [
        (number, name, artifact_id)
        for number, found in with_files[:TOP]
        for name, artifact_id in found.items()
    ]
    if not named:
        return ()
    place = artifacts_place(None, study.spec.checkpoints.folder)
    try:
        artifacts = open_artifacts(place or str(default_folder()), writable=False)
        read = [(number, name, artifacts.read(file)) for number, name, file in named]
    except (StorageError, ValueError) as error:
        _log.warning("pictures of trials cannot be shown: %s", error)
        return ()
    return tuple(
        TrialFile(number, name, data)
        for number, name, data in read
        if data is not None and data.startswith(_PNG) and len(data) <= LARGEST_PICTURE
    )


def _named_files(trial: FrozenTrial) -> dict[str, str]:
    """Return the artifacts of a trial that the report shows, by name, in its order."""
    found = shown_files(trial.system_attrs)
    return {name: found[name] for name in TITLES if name in found}
