"""Where many workers ask at once: is every trial given out once, and how long does each wait?

    OMP_NUM_THREADS=1 python bench/storage/races.py [--workers 16] [--json FILE]

Beside plain Optuna, in processes that start at the same moment:

- `queue`: 200 queued trials, taken and ended until none is left;
- `budget`: a budget of 50 trials, `MaxTrialsCallback(50)` for plain Optuna;
- `twice`: each of the workers queues the same 20 trials (`enqueue_trial(skip_if_exists=True)`;
  tlsearch: the seeds of a study that was measured, by the worker that comes first).

Prints Markdown. Nothing is asserted.
"""

import argparse
import json
import multiprocessing
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from filled import SPACE, STUDY, copy_of, fill
from optuna.samplers import RandomSampler
from optuna.study import MaxTrialsCallback
from server import Server, running_server

from tlsearch.records import Measures, QueuedTrial
from tlsearch.store.claims import Claim, Claims, Curve, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import change_budget
from tlsearch.store.measures import save_measures
from tlsearch.store.studies import find_study, queue_trial

QUEUED, BUDGET, SEEDS = 200, 50, 20
Waits = list[float]
_barrier: Any = None  # where all processes wait once they are connected
_MEASURES = Measures(0.7, 0.1, 0.5, 20, 6.0, 1.0, 0.1, None, None, "none", None, 200, 5.0, 3.0, 0.0)


def plain_queue(url: str) -> Waits:
    """Take and end queued trials by ask and tell, until a new one is made."""
    study = _plain(url)
    waits: Waits = []
    _barrier.wait()
    while True:
        start = time.perf_counter()
        trial = study.ask()
        if trial.number >= QUEUED:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return waits
        waits.append(time.perf_counter() - start)
        study.tell(trial, 0.5)


def our_queue(url: str) -> Waits:
    """Claim and end trials until the budget is spent."""
    storage = open_storage(url)
    study = find_study(storage, STUDY)
    session = WorkerRegistration(storage.engine, "cpu", "", 60)
    session.enter()
    claims = Claims(storage.engine, study, session.worker_id)
    waits: Waits = []
    _barrier.wait()
    while True:
        start = time.perf_counter()
        claim = claims.claim(str(uuid.uuid4()))
        if not isinstance(claim, Claim):
            return waits
        waits.append(time.perf_counter() - start)
        claims.complete(claim, 0.5, Curve())


def plain_budget(url: str) -> Waits:
    """Optimize up to a number of trials, which the callback counts."""
    callback = MaxTrialsCallback(BUDGET, states=None)
    study = _plain(url)
    _barrier.wait()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), callbacks=[callback])
    return []


def plain_twice(url: str) -> Waits:
    """Queue trials that may already be queued."""
    study = _plain(url)
    _barrier.wait()
    for seed in _seeds():
        study.enqueue_trial(seed.params.as_dict(), skip_if_exists=True)
    return []


def our_twice(url: str) -> Waits:
    """Queue the seeds of a study, unless another worker has."""
    storage = open_storage(url)
    study = find_study(storage, STUDY)
    _barrier.wait()
    save_measures(storage, study, _MEASURES, None, _seeds())
    return []


RACES: Mapping[str, tuple[int, int, Callable[[str], Waits], Callable[[str], Waits]]] = {
    "queue": (QUEUED, QUEUED, plain_queue, our_queue),
    "budget": (0, BUDGET, plain_budget, our_queue),
    "twice": (0, SEEDS, plain_twice, our_twice),
}


def run(server: Server, filled: str, race: str, arm: int, n_workers: int) -> dict[str, Any]:
    """Run a race by one of the arms and return the result."""
    n_queued, wanted, *actions = RACES[race]
    database = copy_of(server, filled, f"{race}_{arm}")
    storage = open_storage(server.url(database))
    study = find_study(storage, STUDY)
    change_budget(storage.engine, study.study_id, {"trials": wanted})
    for number in range(n_queued):
        queue_trial(storage, study.study_id, QueuedTrial(_seeds()[number % SEEDS].params, "user"))
    storage.engine.dispose()
    context = multiprocessing.get_context("spawn")
    gate, start = context.Barrier(n_workers), time.perf_counter()
    with context.Pool(n_workers, _prepare, (gate,)) as pool:
        url = server.url(database)
        results = pool.starmap(_race, [(actions[arm], url)] * n_workers, chunksize=1)
    waits = sorted(1000 * wait for each in results for wait in each or ())
    found = server.execute("SELECT count(*) FROM trials WHERE state <> 'FAIL'", database)
    return {
        "race": race,
        "arm": ("plain Optuna", "tlsearch")[arm],
        "wanted": wanted,
        "trials": found,
        "taken": len(waits),
        "waits_ms": [round(waits[len(waits) * p // 100], 1) for p in (50, 95, 99)] if waits else [],
        "failed": sum(each is None for each in results),
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    """Run all races."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with running_server() as server:
        filled = fill(server, 0)
        rows = [run(server, filled, race, arm, given.workers) for race in RACES for arm in (0, 1)]
    if given.json:
        given.json.write_text(
            json.dumps({"workers": given.workers, "races": rows}, indent=1) + "\n"
        )
    print("| race | arm | trials wanted | trials there | waited p50 / p95 / p99 ms | failed |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        waits = " / ".join(map(str, row["waits_ms"]))
        print(
            "|",
            *(f"{row[k]} |" for k in ("race", "arm", "wanted", "trials")),
            waits,
            "|",
            row["failed"],
            "|",
        )


def _plain(url: str) -> optuna.Study:
    storage = url.replace("postgresql:", "postgresql+psycopg2:")
    return optuna.load_study(study_name=STUDY, storage=storage, sampler=RandomSampler())


def _seeds() -> list[QueuedTrial]:
    default = SPACE.plain_default()
    return [QueuedTrial(replace(default, beta=1e-4 + n * 1e-5), "user") for n in range(SEEDS)]


def _prepare(gate: Any) -> None:
    global _barrier  # noqa: PLW0603 - what processes of a pool share comes this way
    _barrier = gate
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")


def _race(action: Callable[[str], Waits], url: str) -> Waits | None:
    try:
        return action(url)
    except (sa.exc.SQLAlchemyError, optuna.exceptions.OptunaError):
        return None


if __name__ == "__main__":
    main()
