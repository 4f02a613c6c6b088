"""A study that plain Optuna clients use at the same time, and a server that goes away."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.db.claiming import (
    STALLED_SECONDS,
    attempts,
    claim,
    execute,
    fresh,
    make_study,
    records,
    refusal_of,
    silence,
    worker_on,
)
from tests.db.conftest import start_process
from tests.pipes import write_line
from tlsearch.postgres import embedded
from tlsearch.store.claims import Claim, Curve, Refusal
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import load_optuna_study

ASKS = 15
CLIENT = f"""
import json, sys, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="a", storage=sys.stdin.readline().strip())
asked = []
for n in range({ASKS}):
    study.enqueue_trial({{"x": n}})
    trial = study.ask()
    trial.suggest_float("x", 0, 100)
    trial.report(0.1, 1)
    study.tell(trial, 0.1)
    asked.append(trial.number)
print(json.dumps(asked))
"""


def test_optuna_clients_and_workers_at_the_same_time(storage_url):
    storage = open_storage(storage_url)
    make_study(storage, trials=120, seeds=10)
    client = start_process(CLIENT)
    write_line(client, storage_url.replace("postgresql:", "postgresql+psycopg2:"))

    def work(_):
        worker, mine = worker_on(storage_url), []
        while not (isinstance(found := worker.claim(fresh()), Refusal) and found.over):
            if isinstance(found, Claim):
                worker.report(found, Curve([1], [0.5]))
                worker.complete(found, 0.5, Curve())
                mine.append(found.trial_id)
            while len(mine) >= 25 and client.poll() is None:
                time.sleep(0.01)  # leave the client its part of the budget
        return mine

    with ThreadPoolExecutor(3) as pool:
        ours = [trial_id for mine in pool.map(work, range(3)) for trial_id in mine]
    asked = json.loads(client.communicate()[0])
    assert client.returncode == 0
    found = records(storage)
    assert [each.number for each in found] == list(range(len(found)))
    assert len(set(ours)) == len(ours)
    assert len(set(asked)) == ASKS
    assert len(ours) + ASKS == 120, "the budget counts the clients' trials too"
    states = [each.state for each in found]
    assert states.count("complete") == 120
    assert len(found) - 120 == states.count("waiting")


def test_a_trial_that_a_client_enqueues_is_claimed_with_its_settings(storage_url):
    storage = open_storage(storage_url)
    make_study(storage, seeds=0, trials=1)
    load_optuna_study(storage, "a").enqueue_trial({"high_lr": 0.07}, user_attrs={"origin": "me"})
    worker = worker_on(storage_url)
    trial = storage.get_trial(claim(worker).trial_id)
    assert trial.system_attrs["fixed_params"] == {"high_lr": 0.07}
    assert trial.user_attrs["origin"] == "me"
    assert refusal_of(worker).verdict == "wait"


def test_a_client_does_not_get_what_a_worker_holds(storage_url):
    storage = open_storage(storage_url)
    make_study(storage, seeds=2)
    held = claim(worker_on(storage_url))
    study = load_optuna_study(storage, "a")
    assert [study.ask().number for _ in range(3)] == [1, 2, 3]
    assert storage.get_trial(held.trial_id).number == 0


@pytest.mark.usefixtures("no_server_left")
def test_after_an_outage_of_the_server_workers_keep_their_trials(home):
    """While it was away everybody was silent: that is no sign that a worker died."""
    url = embedded.ensure_running()
    storage = open_storage(url)
    make_study(storage)
    worker, other = worker_on(url), worker_on(url)
    held = claim(worker)
    silence(storage, 60)
    storage.engine.dispose()
    embedded.stop()
    url = embedded.ensure_running()
    storage = open_storage(url)
    worker, other = worker_on(url), worker_on(url)
    assert claim(other).trial_id != held.trial_id
    assert worker.report(held, Curve([1], [0.5])) is None
    held_by_the_dead = claim(other)
    assert attempts(storage) == [(0, 1, None), (1, 1, None), (2, 1, None)]
    execute(storage, "UPDATE tlsearch.controls SET trials = 10")
    silence(storage)  # waits until the server has been there for long enough
    assert claim(worker).trial_id in (held.trial_id, held_by_the_dead.trial_id)
    assert STALLED_SECONDS < 60
