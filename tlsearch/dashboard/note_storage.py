"""A study's note as optuna-dashboard stores it, and the queries that it is made from."""

import hashlib
import json
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from optuna.storages import RDBStorage

from tlsearch.records import TrialRecord
from tlsearch.records.objective import ACCURACY, Objective, metric_name
from tlsearch.store.expected import read_expected, with_expected
from tlsearch.store.trials import to_record

# As optuna_dashboard._note stores a note: a version that grows with each edit, and pieces of text.
_VERSION, _PIECE, _PIECE_LENGTH = "dashboard:note_ver", "dashboard:note_str:", 2045
_HASH = "tlsearch:note"  # SHA-256 of what was written last
_METRIC = "study:metric_names"  # how Optuna and its dashboard name values

_STATES = sa.text(
    "SELECT studies.study_id, study_name,"
    " (SELECT string_agg(state || n, ' ' ORDER BY state) FROM"
    "   (SELECT state::text, count(*) AS n FROM trials WHERE trials.study_id = studies.study_id"
    "    AND state IN ('COMPLETE', 'PRUNED', 'FAIL') GROUP BY state) AS ended) AS ended,"
    " (SELECT md5(string_agg(key || value_json, ' ' ORDER BY key)) FROM study_user_attributes AS a"
    "   WHERE a.study_id = studies.study_id) AS attrs,"
    " (SELECT c::text FROM tlsearch.controls AS c WHERE c.study_id = studies.study_id) AS controls,"
    " (SELECT max(computed_at) FROM tlsearch.expected_accuracies AS e"
    "   WHERE e.study_id = studies.study_id) AS expected,"
    " (SELECT v.why FROM tlsearch.verdict(studies.study_id) AS v) AS why"
    " FROM studies JOIN study_user_attributes AS spec"
    "   ON spec.study_id = studies.study_id AND spec.key = 'spec'"
    " ORDER BY studies.study_id"
)
_TOP = sa.text(
    "SELECT trials.trial_id FROM trials JOIN trial_values USING (trial_id)"
    " WHERE study_id = :study_id AND state = 'COMPLETE' AND NOT EXISTS"
    "   (SELECT 1 FROM trial_user_attributes AS a"
    "    WHERE a.trial_id = trials.trial_id AND a.key = 'duplicate_of')"
    " ORDER BY value DESC, number LIMIT :top"
)
_FIRST = sa.text(
    "SELECT trial_id FROM trials JOIN trial_user_attributes AS origin USING (trial_id)"
    " WHERE study_id = :study_id AND state = 'COMPLETE' AND origin.key = 'origin'"
    " AND origin.value_json = :origin ORDER BY number LIMIT 1"
)
_READ = sa.text(
    "SELECT key, value_json FROM study_system_attributes WHERE study_id = :study_id"
    " AND (key IN (:version, :hash, :metric) OR starts_with(key, :piece)) FOR UPDATE"
)
_WRITE = sa.text(
    "INSERT INTO study_system_attributes (study_id, key, value_json)"
    " VALUES (:study_id, :key, :value) ON CONFLICT (study_id, key)"
    " DO UPDATE SET value_json = excluded.value_json"
)


def note_states(storage: RDBStorage) -> dict[str, str]:
    """Return by study name a text that changes whenever the study's note should change."""
    with storage.engine.connect() as connection:
        rows = connection.execute(_STATES).all()
    return {
        row.study_name: f"{row.study_id} {row.ended} {row.attrs} {row.controls} {row.expected}"
        for row in rows
    }


def top_trials(storage: RDBStorage, study_id: int, top: int) -> list[TrialRecord]:
    """Return the best complete trials without reading the others; duplicates are left out."""
    with storage.engine.connect() as connection:
        trial_ids = connection.execute(_TOP, {"study_id": study_id, "top": top}).scalars().all()
    records = [to_record(storage.get_trial(trial_id)) for trial_id in trial_ids]
    numbers = [record.number for record in records]
    return with_expected(records, read_expected(storage.engine, study_id, numbers))


def first_of(storage: RDBStorage, study_id: int, origin: str) -> TrialRecord | None:
    """Return the first complete trial of an origin, such as `default`; None where there is none."""
    values = {"study_id": study_id, "origin": json.dumps(origin)}
    with storage.engine.connect() as connection:
        trial_id = connection.execute(_FIRST, values).scalar()
    return None if trial_id is None else to_record(storage.get_trial(trial_id))


def save_note(
    storage: RDBStorage, study_id: int, body: str, objective: Objective = ACCURACY
) -> bool:
    """Write a study's note, unless a user has changed the one that was written before.

    The note's version stays as it is, so that an edit which a user has begun can be saved over it.

    Returns:
        Whether the note is tlsearch's own.
    """
    with storage.engine.begin() as connection:
        values = {"study_id": study_id, "piece": _PIECE}
        values |= {"version": _VERSION, "hash": _HASH, "metric": _METRIC}
        rows = connection.execute(_READ, values).all()
        stored = {row.key: json.loads(row.value_json) for row in rows}
        ours = _is_ours(stored)
        changes: dict[str, object] = {_METRIC: [metric_name(objective)]}
        changes |= _note(stored, body) if ours else {}
        _write(connection, study_id, {k: v for k, v in changes.items() if stored.get(k) != v})
    return ours


def _is_ours(stored: Mapping[str, object]) -> bool:
    """Whether there is no note yet, or it is the one that was written last."""
    if _VERSION not in stored:
        return True
    return stored.get(_HASH) == _digest("".join(str(stored[key]) for key in _pieces(stored)))


def _note(stored: Mapping[str, object], body: str) -> dict[str, object]:
    """Return the attributes of a note; pieces left from a longer one are emptied."""
    pieces = [body[i : i + _PIECE_LENGTH] for i in range(0, len(body), _PIECE_LENGTH)]
    changes: dict[str, object] = dict.fromkeys(_pieces(stored), "")
    changes |= {f"{_PIECE}{i}": piece for i, piece in enumerate(pieces)}
    return changes | {_VERSION: stored.get(_VERSION, 1), _HASH: _digest(body)}


def _pieces(stored: Iterable[str]) -> list[str]:
    """Return the keys of a note's pieces in order."""
    found = [key for key in stored if key.startswith(_PIECE)]
    return sorted(found, key=lambda key: int(key.removeprefix(_PIECE)))


def _write(connection: sa.Connection, study_id: int, attrs: Mapping[str, object]) -> None:
    for key, value in attrs.items():
        row = {"study_id": study_id, "key": key, "value": json.dumps(value)}
        connection.execute(_WRITE, row)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
