"""Rows for tests of the views, written by hand into a database of a test."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg2
import psycopg2.extensions

from tlsearch.store.connect import libpq_url, open_storage, resolve_url

VIEWS = (
    "study_names",
    "hyperparameters",
    "best_trials",
    "trials_flat",
    "learning_curves",
    "study_overview",
    "workers",
    "trial_attempts",
    "gpu_hours",
    "kept_models",
    "finalists",
    "measures",
    "tests",
)
BEGIN = datetime(2026, 3, 1, 12, 0, 0)
PARAMS = {
    "reinit_layers": 2,
    "high_lr": 0.03,
    "low_lr_ratio": 0.5,
    "low_layers": 7,
    "alpha": 0.001,
    "beta": 1e-05,
    "l2sp_layers": 3,
}
FLOAT = '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 9.0}}'
CHOICE = '{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}'


class Rows:
    """A database with tlsearch's schema, and a session in it."""

    def __init__(self, url: str) -> None:
        open_storage(url).engine.dispose()
        self.session: psycopg2.extensions.connection = psycopg2.connect(libpq_url(resolve_url(url)))
        self.session.autocommit = True
        self._last = 0

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        with self.session.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def names(self, query: str) -> list[dict[str, Any]]:
        """Run a query and return its rows by the names of their columns."""
        with self.session.cursor() as cursor:
            cursor.execute(query)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def study(
        self,
        name: str,
        attrs: Mapping[str, str] | None = None,
        *,
        directions: Sequence[str] = ("MAXIMIZE",),
        trials: int | None = None,
        **limits: object,
    ) -> int:
        """Write a study; with `trials` it has controls, as those of tlsearch have."""
        ((study_id,),) = self.ask(
            "INSERT INTO studies (study_name) VALUES (%s) RETURNING study_id", name
        )
        for objective, direction in enumerate(directions):
            self.ask(
                "INSERT INTO study_directions (study_id, objective, direction) VALUES (%s, %s, %s)",
                *(study_id, objective, direction),
            )
        for key, text in (attrs or {}).items():
            self.ask(
                "INSERT INTO study_user_attributes VALUES (DEFAULT, %s, %s, %s)",
                *(study_id, key, text),
            )
        if trials is not None:
            self._insert("tlsearch.controls", {"study_id": study_id, "trials": trials, **limits})
        return int(study_id)

    def trial(
        self,
        study_id: int,
        number: int,
        state: str = "COMPLETE",
        value: float | None = None,
        *,
        params: Mapping[str, float] | None = None,
        curve: Sequence[float | None] = (),
        begin: float = 0,
        end: float | None = None,
        **attrs: object,
    ) -> int:
        """Write a trial; times are seconds after BEGIN, attributes plain values."""
        trial_id = self._insert(
            "trials",
            {
                "number": number,
                "study_id": study_id,
                "state": state,
                "datetime_start": None if state == "WAITING" else at(begin),
                "datetime_complete": None if end is None else at(end),
            },
            "trial_id",
        )
        if value is not None:
            self.value(trial_id, value)
        for name, given in (params or {}).items():
            self.param(trial_id, name, given)
        for step, accuracy in enumerate(curve, 1):
            self.epoch(trial_id, step, accuracy)
        for key, attr in attrs.items():
            self.attr(trial_id, key, json.dumps(attr))
        return trial_id

    def value(self, trial_id: int, value: float | None, kind: str = "FINITE") -> None:
        values = {"trial_id": trial_id, "objective": 0, "value": value, "value_type": kind}
        self._insert("trial_values", values)

    def param(self, trial_id: int, name: str, value: float, distribution: str = FLOAT) -> None:
        values = {"param_name": name, "param_value": value, "distribution_json": distribution}
        self._insert("trial_params", {"trial_id": trial_id, **values})

    def epoch(self, trial_id: int, step: int, value: float | None, kind: str = "FINITE") -> None:
        values = {"intermediate_value": value, "intermediate_value_type": kind}
        self._insert("trial_intermediate_values", {"trial_id": trial_id, "step": step, **values})

    def attr(self, trial_id: int, key: str, text: str | None) -> None:
        values = {"trial_id": trial_id, "key": key, "value_json": text}
        self._insert("trial_user_attributes", values)

    def worker(self, name: str = "w", device_name: str = "H100", **more: object) -> str:
        """Write a worker process and return its key."""
        worker_id = str(uuid.uuid4())
        values: dict[str, object] = {"worker_id": worker_id, "name": name, "host": "h", "pid": 1}
        values |= {"device": "cuda:0", "device_name": device_name, "stalled_after_seconds": 60}
        self._insert("tlsearch.worker_sessions", values | more)
        return worker_id

    def expected(self, study_id: int, trial_id: int, accuracy: float, sd: float) -> None:
        """Write what is expected of a trial."""
        values = {"expected_accuracy": accuracy, "sd": sd, "n_trials": 1}
        keys = {"trial_id": trial_id, "study_id": study_id}
        self._insert("tlsearch.expected_accuracies", {**keys, **values})

    def test(self, study_id: int, look: int, result: Mapping[str, object]) -> None:
        """Write a look at the test images."""
        kept = {"study_id": study_id, "look": look, "at": BEGIN, "result": json.dumps(result)}
        self._insert("tlsearch.test_results", kept)

    def attempt(
        self,
        study_id: int,
        trial_id: int,
        number: int,
        worker_id: str,
        begin: float,
        seconds: float,
        ended: str | None,
        **more: object,
    ) -> None:
        """Write an attempt; `ended` None: it is still held, and was last seen then."""
        self._insert(
            "tlsearch.attempts",
            {
                "trial_id": trial_id,
                "attempt": number,
                "study_id": study_id,
                "worker_id": worker_id,
                "token": str(uuid.uuid4()),
                "started_at": f"{at(begin)}+00",
                "last_seen_at": f"{at(begin + seconds)}+00",
                "ended_at": f"{at(begin + seconds)}+00" if ended else None,
                "ended": ended,
                **more,
            },
        )

    def _insert(self, table: str, values: Mapping[str, object], returning: str = "1") -> int:
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING {returning}"
        return int(self.ask(statement, *values.values())[0][0])


def at(seconds: float) -> datetime:
    """Return a time that many seconds after BEGIN."""
    return BEGIN + timedelta(seconds=seconds)


def read_all(rows: Rows) -> None:
    """Read every column of every row of every view."""
    for view in VIEWS:
        rows.ask(f"SELECT * FROM tlsearch.{view}")
        rows.ask(f"SELECT * FROM tlsearch.{view} ORDER BY 1, 2")
