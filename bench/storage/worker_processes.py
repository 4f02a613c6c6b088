"""Runs many workers of one arm at once and measures time and statements.

A study's trials are read once, in a process that then forks the workers: 64 cold starts at 10,000
trials would take plain Optuna a quarter of an hour. Only the steady state is measured, from the
moment when all workers have run a short trial until the last one has ended its last trial.
"""

import gc
import multiprocessing
import random
import resource
import time
import warnings
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

import optuna
from arms import ARMS
from filled import EPOCHS
from optuna.exceptions import ExperimentalWarning
from server import Server
from timing import Times

_STATISTICS_DELAY_SECONDS = 1.2  # the server's statistics are a second late


@dataclass(frozen=True)
class Load:
    """How hard the workers work.

    Attributes:
        workers: how many.
        seconds: no trial begins after these.
        most_trials: of all workers together.
        trial_seconds: of simulated training a trial.
    """

    workers: int
    seconds: float
    most_trials: int
    trial_seconds: float = 0.0


@dataclass
class Cost:
    """What the workers did, and the time and statements it took.

    Attributes:
        arm: the name of the arm.
        load: how hard they worked.
        trials: that ended.
        wall_seconds: from the start to the last end.
        client_seconds: CPU time of the workers.
        server_seconds: CPU time of the server.
        cold_seconds: CPU time to open the study and run a first trial, in one process.
        statements: sent that did something.
        checkouts: connections taken from a pool; tlsearch's pings at each.
        transactions: as the server counts them.
        seconds: of every call, by its name.
    """

    arm: str
    load: Load
    trials: int = 0
    wall_seconds: float = 0.0
    client_seconds: float = 0.0
    server_seconds: float = 0.0
    cold_seconds: float = 0.0
    statements: int = 0
    checkouts: int = 0
    transactions: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)


def run_workers(server: Server, database: str, arm: str, load: Load) -> Cost:
    """Run the workers of an arm on a database of their own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_fork_workers, args=(server, database, arm, load, theirs))
    parent.start()
    theirs.close()
    try:
        cost: Cost = ours.recv()
    except EOFError:
        raise RuntimeError(f"{arm}: its processes failed") from None
    parent.join()
    return cost


def _fork_workers(server: Server, database: str, arm: str, load: Load, result: Connection) -> None:
    """Warm up, fork the workers, and add up their time and statements."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", ExperimentalWarning)
    worker = ARMS[arm].build(server.url(database))
    worker.trial(Times(), lambda: None)
    cost = Cost(arm, load, cold_seconds=_cpu_seconds())
    worker.detach()
    gc.collect()
    gc.freeze()  # forked processes share what is never collected
    context = multiprocessing.get_context("fork")
    ready, tickets = context.Barrier(load.workers + 1), context.Value("i", load.most_trials)
    pipes = []
    for number in range(load.workers):
        ours, theirs = context.Pipe(duplex=False)
        context.Process(target=_work, args=(worker, load, number, ready, tickets, theirs)).start()
        theirs.close()
        pipes.append(ours)
    ready.wait()  # all are warm
    time.sleep(_STATISTICS_DELAY_SECONDS)
    before = server.transactions(database)
    server_before, start = server.cpu_seconds(), time.perf_counter()
    ready.wait()
    for times, cpu_seconds in [pipe.recv() for pipe in pipes]:
        _add(cost, times, cpu_seconds)
    cost.wall_seconds = time.perf_counter() - start
    cost.server_seconds = server.cpu_seconds() - server_before
    time.sleep(_STATISTICS_DELAY_SECONDS)
    cost.transactions = server.transactions(database) - before
    result.send(cost)


def _work(
    worker: Any, load: Load, number: int, ready: Barrier, tickets: Any, result: Connection
) -> None:
    """Run trials until the time or the tickets run out."""
    times = Times()
    worker.attach(times)
    worker.trial(Times(), lambda: None, epochs=2)
    ready.wait()
    ready.wait()
    times.statements = times.checkouts = 0
    before, start = _cpu_seconds(), time.perf_counter()
    if load.trial_seconds:  # workers do not march in step
        time.sleep(load.trial_seconds * number / load.workers)
    pause = load.trial_seconds / EPOCHS
    while time.perf_counter() - start < load.seconds and _ticket(tickets):
        worker.trial(times, lambda: time.sleep(pause * random.uniform(0.8, 1.2)))
    result.send((times, _cpu_seconds() - before))


def _ticket(tickets: Any) -> bool:
    with tickets.get_lock():
        tickets.value -= 1
        return bool(tickets.value >= 0)


def _add(cost: Cost, times: Times, cpu_seconds: float) -> None:
    cost.client_seconds += cpu_seconds
    cost.trials += times.trials
    cost.statements += times.statements
    cost.checkouts += times.checkouts
    for call, seconds in times.seconds.items():
        cost.seconds.setdefault(call, []).extend(seconds)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def as_json(cost: Cost, existing: int) -> dict[str, Any]:
    """Return a run for the JSON file; calls as percentiles in milliseconds."""
    calls = {
        call: {f"p{p}": round(1000 * _percentile(seconds, p), 2) for p in (50, 95, 100)}
        | {"n": len(seconds), "sum_seconds": round(sum(seconds), 3)}
        for call, seconds in cost.seconds.items()
    }
    kept = {name: value for name, value in asdict(cost).items() if name not in ("load", "seconds")}
    return asdict(cost.load) | kept | {"existing": existing, "calls": calls}


def _percentile(values: list[float], p: int) -> float:
    ordered = sorted(values) or [float("nan")]
    return ordered[min(len(ordered) - 1, len(ordered) * p // 100)]
