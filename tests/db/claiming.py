"""Studies and workers for tests of claiming: no images, no network, nothing is trained."""

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from optuna.storages import RDBStorage

from tests.db.conftest import wait_for
from tests.db.test_studies import ATTRS, PLAIN
from tlsearch.records import Failure, QueuedTrial
from tlsearch.spec import BudgetSpec, WorkersSpec, to_toml_dict
from tlsearch.spec import parse_spec as parse
from tlsearch.store.claims import Claim, Claims, Curve, Refusal, Release, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import NewStudy, find_study, write_studies
from tlsearch.store.trials import trial_records

STALLED_SECONDS = 3
NAN = Failure("nan", "the loss is not finite")
OUT_OF_MEMORY = Failure("out_of_memory", "too little")
BUG = Failure("ValueError", "x")
PREEMPTED = Release("preempted", "SIGTERM")
SERVER_IS_OLD = "SELECT WHERE pg_postmaster_start_time() < now() - make_interval(secs => :s)"


def make_study(
    storage: RDBStorage, name: str = "a", *, seeds: int = 1, max_attempts: int = 3, **budget: Any
) -> int:
    """Write a study with queued trials and return its id; its budget is 3 trials if not given."""
    budget_spec = BudgetSpec(**{"trials": 3, **budget})
    workers = WorkersSpec(
        heartbeat_seconds=1, stalled_after_seconds=STALLED_SECONDS, max_attempts=max_attempts
    )
    spec = parse(ATTRS["spec"]).model_copy(
        update={"name": name, "budget": budget_spec, "workers": workers}
    )
    attrs = {**ATTRS, "spec": to_toml_dict(spec)}
    new = NewStudy(name, attrs, [QueuedTrial(PLAIN, "default")] * seeds, budget_spec)
    assert write_studies(storage, [new])
    return find_study(storage, name).study_id


def worker_on(url: str, name: str = "a") -> Claims:
    """Claims as a worker in another process would have them: only the database is shared."""
    storage = open_storage(url)
    session = WorkerRegistration(storage.engine, "cpu", "", STALLED_SECONDS)
    session.enter()
    return Claims(storage.engine, find_study(storage, name), session.worker_id)


def fresh() -> str:
    return str(uuid.uuid4())


def claim(worker: Claims, keep: int = 0) -> Claim:
    """Claim a trial that must be there."""
    found = worker.claim(fresh(), keep)
    assert isinstance(found, Claim), found
    return found


def refusal_of(worker: Claims) -> Refusal:
    """Ask for a trial that must not be given; return why."""
    found = worker.claim(fresh())
    assert isinstance(found, Refusal), found
    return found


def run_one(worker: Claims, value: float = 0.5) -> Claim:
    """Claim a trial and complete it after one epoch."""
    held = claim(worker)
    worker.report(held, Curve([1], [value]))
    worker.complete(held, value, Curve())
    return held


def silence(storage: RDBStorage, seconds: float = 2 * STALLED_SECONDS) -> None:
    """Let the last heartbeats be so long ago, on a server that was there then."""
    wait_for(lambda: rows(storage, SERVER_IS_OLD, s=STALLED_SECONDS))
    execute(
        storage,
        "UPDATE tlsearch.attempts SET last_seen_at = last_seen_at - make_interval(secs => :s),"
        " started_at = started_at - make_interval(secs => :s) WHERE ended_at IS NULL",
        s=seconds,
    )


def execute(storage: RDBStorage, statement: str, **values: Any) -> None:
    with storage.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def rows(storage: RDBStorage, query: str, **values: Any) -> Sequence[Any]:
    with storage.engine.connect() as connection:
        return connection.execute(sa.text(query), values).all()


def attempts(storage: RDBStorage) -> list[tuple[int, int, str | None]]:
    """Number of the trial, attempt, and how it ended."""
    query = (
        "SELECT number, attempt, ended FROM tlsearch.attempts JOIN trials USING (trial_id)"
        " ORDER BY number, attempt"
    )
    return [tuple(row) for row in rows(storage, query)]


def records(storage: RDBStorage, name: str = "a") -> list[Any]:
    return trial_records(storage, find_study(storage, name).study_id)
