"""A study's trials, read once: only what is new or may still change crosses the network."""

import json
import time
from bisect import insort
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

# What is new has a higher key than what was read: Optuna adds a trial under a lock of the study's
# row, so no trial with a lower key appears later. A program that adds rows itself must do the same.
# The columns are arrays and one JSON text a row, for parsing JSON takes most of the time of a read.
_VALUE = (
    "CASE {type}::text WHEN 'INF_POS' THEN 'Infinity' WHEN 'INF_NEG' THEN '-Infinity'"
    " WHEN 'NAN' THEN 'NaN' ELSE {value} END"
)
_FINAL = _VALUE.format(type="value_type", value="value")
_REPORTED = _VALUE.format(type="intermediate_value_type", value="intermediate_value")
_ATTRS = "'{{' || string_agg(to_json(key)::text || ':' || value_json, ',') || '}}'"
_COLUMNS = (
    "SELECT t.trial_id, number, state::text AS state, datetime_start, datetime_complete,"
    " names, internal, distributions, steps, reported,"
    f" (SELECT {_ATTRS} FROM trial_user_attributes AS u WHERE u.trial_id = t.trial_id)"
    " AS user_attrs,"
    f" (SELECT {_ATTRS} FROM trial_system_attributes AS s WHERE s.trial_id = t.trial_id)"
    " AS system_attrs,"
    f" (SELECT array_agg({_FINAL} ORDER BY objective)"
    "  FROM trial_values AS v WHERE v.trial_id = t.trial_id) AS final"
    " FROM trials AS t"
    " CROSS JOIN LATERAL (SELECT array_agg(param_name ORDER BY param_id) AS names,"
    "  array_agg(param_value ORDER BY param_id) AS internal,"
    "  array_agg(distribution_json ORDER BY param_id) AS distributions"
    "  FROM trial_params AS p WHERE p.trial_id = t.trial_id) AS params"
    " CROSS JOIN LATERAL (SELECT array_agg(step ORDER BY step) AS steps,"
    f"  array_agg({_REPORTED} ORDER BY step) AS reported"
    "  FROM trial_intermediate_values AS i WHERE i.trial_id = t.trial_id{curves}) AS curve"
    " WHERE study_id = :study_id"
    " AND (t.trial_id > :last OR t.trial_id = ANY(CAST(:open AS integer[])))"
    " AND t.trial_id <> ALL(CAST(:ahead AS integer[])){states} ORDER BY t.trial_id"
)
HIDDEN = "batched_storage:hidden"  # the system attribute of a trial that searches must not see
_ENDED = "state IN ('COMPLETE', 'PRUNED', 'FAIL')"
_CHANGED = sa.text(_COLUMNS.format(curves="", states=""))
_ONE_CURVE = sa.text(
    _COLUMNS.format(curves=f" AND (t.{_ENDED} OR t.trial_id = :curve_of)", states="")
)
_FINISHED = sa.text(_COLUMNS.format(curves="", states=f" AND {_ENDED}"))


class StudyHistory:
    """The trials of one study as the last refresh read them.

    Works on any study of Optuna's in PostgreSQL. Finished trials never change and are read once;
    queued and running ones are read again by each refresh. Not to be shared between threads.

    Args:
        engine: of the database.
        study_id: Optuna's key of the study.
    """

    def __init__(self, engine: sa.Engine, study_id: int) -> None:
        self._engine = engine
        self._study_id = study_id
        self._finished: list[FrozenTrial] = []
        self._shown: list[FrozenTrial] = []  # those without the hidden ones
        self._of_states: dict[frozenset[TrialState], list[FrozenTrial]] = {}
        self._open: dict[int, FrozenTrial] = {}
        self._last = -1  # all trials with keys up to here were read: they are finished or open
        self._ahead: set[int] = set()  # keys above, of trials that `refresh_finished` read
        self._read_at = float("-inf")
        self._distributions: dict[str, BaseDistribution] = {}

    def refresh(self, curve_of: int | None = None) -> None:
        """Read what is new.

        Args:
            curve_of: of queued and running trials, read the intermediate values of this one alone;
                the others keep the values that were read last.

        Raises:
            sqlalchemy.exc.DBAPIError: the database cannot be reached; what was read before stays.
        """
        trials = self._read(_CHANGED if curve_of is None else _ONE_CURVE, curve_of)
        before, self._open = self._open, {}
        self._last = max(self._last, *self._ahead, -1)
        self._ahead = set()
        for trial in trials:
            if trial.state.is_finished():
                self._add_finished(trial)
            else:
                self._open[trial._trial_id] = trial
                if curve_of not in (None, trial._trial_id) and trial._trial_id in before:
                    trial.intermediate_values = before[trial._trial_id].intermediate_values
            self._last = max(self._last, trial._trial_id)

    def refresh_finished(self, max_age_seconds: float = 0.0) -> None:
        """Read which trials have finished, and nothing else; many that run do not slow it down.

        Args:
            max_age_seconds: do nothing if the last read, of either kind, began less long ago.

        Raises:
            sqlalchemy.exc.DBAPIError: as `refresh`.
        """
        if time.monotonic() - self._read_at <= max_age_seconds:
            return
        for trial in self._read(_FINISHED):
            self._add_finished(trial)
            self._open.pop(trial._trial_id, None)
            if trial._trial_id > self._last:
                self._ahead.add(trial._trial_id)

    def finished(self) -> list[FrozenTrial]:
        """Return the finished trials in the order in which they were seen to end.

        The list only ever grows, at its end; it must not be changed.
        """
        return self._finished

    def shown(self) -> list[FrozenTrial]:
        """Return the same without hidden trials; it must not be changed either."""
        return self._shown

    def open(self) -> Iterable[FrozenTrial]:
        """Return the queued and running trials, by number."""
        return self._open.values()

    def trials(self, states: Iterable[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials in these states, by number; they must not be changed."""
        wanted = frozenset(TrialState if states is None else states)
        found = self._finished_in(wanted).copy()
        for trial in self._open.values():
            if trial.state in wanted:
                insort(found, trial, key=_number_of)
        return found

    def _read(self, statement: sa.TextClause, curve_of: int | None = None) -> list[FrozenTrial]:
        began = time.monotonic()
        values = {
            "study_id": self._study_id,
            "last": self._last,
            "open": list(self._open),
            "ahead": list(self._ahead),
            "curve_of": curve_of,
        }
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            rows = connection.execute(statement, values).all()
        trials = [self._trial(row) for row in rows]
        self._read_at = began
        return trials

    def _add_finished(self, trial: FrozenTrial) -> None:
        self._finished.append(trial)
        if not is_hidden(trial):
            self._shown.append(trial)
        for wanted, found in self._of_states.items():
            if trial.state in wanted:
                insort(found, trial, key=_number_of)

    def _finished_in(self, wanted: frozenset[TrialState]) -> list[FrozenTrial]:
        """Return the finished trials in these states by number; kept for the next time."""
        if wanted not in self._of_states:
            found = [trial for trial in self._finished if trial.state in wanted]
            self._of_states[wanted] = sorted(found, key=_number_of)
        return self._of_states[wanted]

    def _trial(self, row: Any) -> FrozenTrial:
        params, distributions = {}, {}
        of_trial = zip(row.names or (), row.internal or (), row.distributions or (), strict=True)
        for name, value, text in of_trial:
            distribution = self._distribution(text)
            distributions[name] = distribution
            params[name] = distribution.to_external_repr(value)
        return FrozenTrial(
            number=row.number,
            trial_id=row.trial_id,
            state=TrialState[row.state],
            value=None,
            values=row.final,
            datetime_start=_local(row.datetime_start),
            datetime_complete=_local(row.datetime_complete),
            params=params,
            distributions=distributions,
            user_attrs=json.loads(row.user_attrs or "{}"),
            system_attrs=json.loads(row.system_attrs or "{}"),
            intermediate_values=dict(zip(row.steps or (), row.reported or (), strict=True)),
        )

    def _distribution(self, text: str) -> BaseDistribution:
        """Parse each text once; a study has only a few."""
        if text not in self._distributions:
            self._distributions[text] = json_to_distribution(text)
        return self._distributions[text]


def is_hidden(trial: FrozenTrial) -> bool:
    """Whether a trial is one that samplers and pruners must not see."""
    return HIDDEN in trial.system_attrs


def _number_of(trial: FrozenTrial) -> int:
    return trial.number


def _local(utc: datetime | None) -> datetime | None:
    """Return a time as Optuna shows it: local, without a zone."""
    return None if utc is None else utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
