"""How long the SQL views take on a full study, alone and while workers report.

    python bench/storage/views.py [--trials 10000] [--rate 100] [--repeats 20]

Writes a study with that many finished trials of 50 epochs into a PostgreSQL server of its own. Then
each query below runs `--repeats` times and fetches its rows: first alone, then beside a process
that claims, reports and ends trials of the same study at a steady rate. Shown are the time on the
clock and the CPU time that the server spent on the query, which other processes on the machine
change little. The figures go to results/views.json.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from filled import STUDY, curve, fill
from server import Server, running_server

from tlsearch.store.claims import Claim, Claims, Curve, WorkerRegistration
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study

RESULTS = Path(__file__).parent / "results" / "views.json"
OF_STUDY = f"WHERE study = '{STUDY}'"
QUERIES = {
    "best_trials, top 5": f"SELECT * FROM tlsearch.best_trials {OF_STUDY} ORDER BY rank LIMIT 5",
    "best_trials, rank <= 5": f"SELECT * FROM tlsearch.best_trials {OF_STUDY} AND rank <= 5",
    "best_trials, accuracies of all": (
        f"SELECT rank, trial, val_accuracy FROM tlsearch.best_trials {OF_STUDY} ORDER BY rank"
    ),
    "best_trials, by origin": (
        f"SELECT origin, max(val_accuracy) FROM tlsearch.best_trials {OF_STUDY} GROUP BY origin"
    ),
    "best_trials, whole": "SELECT * FROM tlsearch.best_trials",
    "trials_flat, one trial": f"SELECT * FROM tlsearch.trials_flat {OF_STUDY} AND trial = 77",
    "trials_flat, pruned, two columns": (
        f"SELECT trial, epochs FROM tlsearch.trials_flat {OF_STUDY} AND state = 'pruned'"
    ),
    "trials_flat, whole": "SELECT * FROM tlsearch.trials_flat",
    "learning_curves, one trial": (
        f"SELECT * FROM tlsearch.learning_curves {OF_STUDY} AND trial = 77 ORDER BY epoch"
    ),
    "learning_curves, mean by epoch": (
        f"SELECT epoch, avg(val_accuracy) FROM tlsearch.learning_curves {OF_STUDY} GROUP BY epoch"
    ),
    "study_overview, whole": "SELECT * FROM tlsearch.study_overview",
    "workers, whole": "SELECT * FROM tlsearch.workers",
    "trial_attempts, one trial": f"SELECT * FROM tlsearch.trial_attempts {OF_STUDY} AND trial = 77",
    "gpu_hours, whole": "SELECT * FROM tlsearch.gpu_hours",
    "measures, whole": "SELECT * FROM tlsearch.measures",
}
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


def main() -> None:
    """Fill a database, time the queries, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=100, help="reports a second while ingesting")
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    with running_server() as server:
        start = time.perf_counter()
        database = fill(server, given.trials)
        print(f"filled with {given.trials} trials in {time.perf_counter() - start:.0f} s")
        spread_attempts(server, database)
        url = server.url(database)
        figures = {"alone": time_all(url, given.repeats)}
        with ingesting(url, given.rate) as reports:
            before, start = reports.value, time.perf_counter()
            figures["beside ingest"] = time_all(url, given.repeats)
            rate = (reports.value - before) / (time.perf_counter() - start)
    show(figures, rate)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(describe(given, rate) | {"queries": figures}, indent=1) + "\n")


def spread_attempts(server: Server, database: str) -> None:
    """Spread the attempts over 64 workers, and give a tenth of the trials two."""
    server.execute(
        "INSERT INTO tlsearch.worker_sessions"
        " (worker_id, name, host, pid, device, device_name, stalled_after_seconds)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, 'gpu-' || n || ':1:cuda:0', 'gpu-' || n, 1,"
        " 'cuda:0', 'GPU', 60 FROM generate_series(1, 64) AS n",
        database,
    )
    server.execute(
        "UPDATE tlsearch.attempts"
        " SET worker_id = lpad(to_hex(mod(trial_id, 64) + 1), 32, '0')::uuid",
        database,
    )
    server.execute(
        "INSERT INTO tlsearch.attempts (trial_id, attempt, study_id, worker_id, token, started_at,"
        " last_seen_at, ended_at, ended, last_epoch, checkpoint_epoch)"
        " SELECT trial_id, 2, study_id, worker_id, gen_random_uuid(), started_at, last_seen_at,"
        " ended_at, 'preempted', 20, 20 FROM tlsearch.attempts WHERE mod(trial_id, 10) = 0",
        database,
    )
    server.execute("VACUUM ANALYZE", database)


def time_all(url: str, repeats: int) -> dict[str, dict[str, float]]:
    """Return median and 95th percentile, in milliseconds, of every query."""
    session = psycopg2.connect(url)
    session.autocommit = True
    found = {}
    for name, query in QUERIES.items():
        run_once(session, query)
        taken = [run_once(session, query) for _ in range(repeats)]
        wall, cpu = zip(*((each["wall"], each["cpu"]) for each in taken), strict=True)
        found[name] = {
            "rows": taken[0]["rows"],
            "median_ms": round(statistics.median(wall), 2),
            "p95_ms": round(statistics.quantiles(wall, n=20, method="inclusive")[-1], 2),
            "min_ms": round(min(wall), 2),
            "server_cpu_median_ms": round(statistics.median(cpu), 2),
        }
    session.close()
    return found


def run_once(session: psycopg2.extensions.connection, query: str) -> dict[str, float]:
    """Run a query, fetch its rows, and return how long that took."""
    used = cpu_of(session.info.backend_pid)
    with session.cursor() as cursor:
        before, start = used(), time.perf_counter()
        cursor.execute(query)
        rows = len(cursor.fetchall())
        wall = time.perf_counter() - start
    return {"wall": 1e3 * wall, "cpu": 1e3 * (used() - before), "rows": rows}


def cpu_of(pid: int) -> Callable[[], float]:
    """Return a function that tells the CPU seconds a process has used."""
    return lambda: int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def ingesting(url: str, rate: float) -> Iterator[Any]:
    """Have another process report epochs; yields how many it has reported."""
    context = multiprocessing.get_context("spawn")
    reports, over = context.Value("q", 0), context.Event()
    process = context.Process(target=ingest, args=(url, rate, reports, over), daemon=True)
    process.start()
    while reports.value < 200:
        time.sleep(0.05)
        assert process.is_alive()
    try:
        yield reports
    finally:
        over.set()
        process.join(30)


def ingest(url: str, rate: float, reports: "Synchronized[int]", over: Any) -> None:
    """Run trials through the functions that workers call, one report after the other."""
    engine = open_storage(url).engine
    session = WorkerRegistration(engine, "cpu", "none", 60)
    session.enter()
    claims = Claims(engine, find_study(open_storage(url), STUDY), session.worker_id)
    due = time.perf_counter()
    while not over.is_set():
        claim = claims.claim(str(uuid.uuid4()))
        assert isinstance(claim, Claim), claim
        params = [(name, float(value), FLOAT) for name, value in PARAMS.items()]
        claims.write(claim, params, {"origin": "tpe", "canonical": PARAMS})
        values = curve(PARAMS, claim.trial_id)
        for epoch, value in enumerate(values, 1):
            due = max(due + 1 / rate, time.perf_counter() - 1)
            time.sleep(max(0.0, due - time.perf_counter()))
            claims.report(claim, Curve([epoch], [value]))
            reports.value += 1
        claims.complete(claim, values[-1], Curve(), user_attrs={"seconds": 1.0})


def show(figures: dict[str, dict[str, dict[str, float]]], rate: float) -> None:
    """Print the figures."""
    for arm, queries in figures.items():
        print(f"\n{arm}{f' of {rate:.0f} reports a second' if 'ingest' in arm else ''}")
        print(
            f"  {'milliseconds':<34}{'rows':>7}{'median':>9}{'p95':>9}{'min':>9}{'server CPU':>12}"
        )
        for name, found in queries.items():
            times = [found[key] for key in ("median_ms", "p95_ms", "min_ms")]
            shown = "".join(f"{each:>9.1f}" for each in times)
            print(f"  {name:<34}{found['rows']:>7.0f}{shown}{found['server_cpu_median_ms']:>12.1f}")
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def describe(given: argparse.Namespace, rate: float) -> dict[str, object]:
    """Return the conditions of the measurement."""
    return {
        "trials": given.trials,
        "epochs": 50,
        "repeats": given.repeats,
        "reports_a_second": round(rate, 1),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    main()
