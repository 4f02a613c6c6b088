"""BatchedStorage under plain Optuna behaves as Optuna's own storage does."""

import pickle
import subprocess
import sys
import threading

import optuna
import pytest
from optuna.exceptions import TrialPruned
from optuna.pruners import (
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import (
    BruteForceSampler,
    CmaEsSampler,
    GridSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState

from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.store.connect import open_storage

GRID: dict[str, list[str | float | int | bool | None]] = {"x": [0.1, 0.2, 0.3], "k": ["a", "b"]}
SAMPLERS = {
    "random": lambda: RandomSampler(seed=1),
    "tpe": lambda: TPESampler(seed=1, n_startup_trials=5, multivariate=True),
    "tpe liar": lambda: TPESampler(seed=1, n_startup_trials=5, constant_liar=True),
    "tpe group": lambda: TPESampler(seed=1, n_startup_trials=5, multivariate=True, group=True),
    "nsga": lambda: NSGAIISampler(seed=1, population_size=5),
    "grid": lambda: GridSampler(GRID, seed=1),
    "brute": lambda: BruteForceSampler(seed=1),
}
PRUNERS = {
    "median": lambda: MedianPruner(n_startup_trials=3, n_warmup_steps=1),
    "halving": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "hyperband": lambda: HyperbandPruner(1, 8, reduction_factor=2),
    "patient": lambda: PatientPruner(MedianPruner(n_startup_trials=3), patience=1),
    "wilcoxon": lambda: WilcoxonPruner(n_startup_steps=2),
}


@pytest.fixture
def rdb(storage_url):
    with without_notices():
        yield open_storage(storage_url)


@pytest.fixture
def batched(rdb):
    return BatchedStorage(rdb, flush_seconds=3600)


def study_in(storage, **options):
    return optuna.create_study(**{"storage": storage, "direction": "maximize"} | options)


def objective(trial):
    """A bit of everything: all kinds of parameters, reports, pruning, failing and attributes."""
    x = trial.suggest_float("x", 0, 1)
    k = trial.suggest_categorical("k", ["a", "b"])
    trial.set_user_attr("about", {"number": trial.number, "k": k})
    if trial.number % 5 == 4:
        raise ValueError("fails")
    for step in range(1, 9):
        value = x * step / 8 + (0.1 if k == "a" else 0) - 0.01 * (trial.number % 3)
        trial.report(value, step)
        if trial.should_prune():
            trial.set_user_attr("pruned at", step)
            raise TrialPruned
    return value


def outcome(study):
    """Everything about a study's trials but when they ran."""
    return [
        (
            t.number, t.state, t.values, t.params, t.distributions, t.user_attrs, t.system_attrs,
            t.intermediate_values, t.datetime_complete is not None,
        )
        for t in study.trials
    ]  # fmt: skip


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_the_same_study_as_on_optunas_storage(rdb, batched, sampler, pruner):
    assert_same(rdb, batched, SAMPLERS[sampler], PRUNERS[pruner])


@pytest.mark.parametrize("pruner", ["hyperband", "patient", "wilcoxon"])
def test_the_same_with_other_pruners(rdb, batched, pruner):
    assert_same(rdb, batched, SAMPLERS["tpe"], PRUNERS[pruner])


def assert_same(rdb, batched, sampler, pruner, n_trials=16):
    outcomes = []
    for n, storage in enumerate((rdb, batched)):
        # Hyperband reads brackets off the study's name, so each has a database's worth of its own.
        study = study_in(storage, study_name="s", sampler=sampler(), pruner=pruner())
        study.enqueue_trial({"x": 0.3}, user_attrs={"whose": "mine"})
        study.optimize(objective, n_trials=n_trials, catch=(ValueError,))
        outcomes.append((outcome(study), study.best_trial.number, study.best_value))
        seen_elsewhere = optuna.load_study(study_name="s", storage=rdb)
        assert outcome(seen_elsewhere) == outcomes[n][0]
        assert {t.state for t in study.trials} >= {TrialState.COMPLETE, TrialState.FAIL}
        optuna.delete_study(study_name="s", storage=rdb)
    assert outcomes[0] == outcomes[1]


def test_cma_es_if_it_is_there(rdb, batched):
    pytest.importorskip("cmaes")
    assert_same(rdb, batched, lambda: CmaEsSampler(seed=1), PRUNERS["median"])


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("flush_seconds", [0, 3600])
def test_threads(rdb, pruner, flush_seconds):
    batched = BatchedStorage(rdb, flush_seconds)
    sampler = TPESampler(seed=1, n_startup_trials=4, constant_liar=True)
    study = study_in(batched, study_name="s", sampler=sampler, pruner=PRUNERS[pruner]())
    study.optimize(objective, n_trials=16, n_jobs=2, catch=(ValueError,))
    assert [t.number for t in study.trials] == list(range(16))
    assert all(t.state.is_finished() for t in study.trials)
    assert {t.state for t in study.trials} >= {TrialState.COMPLETE, TrialState.FAIL}
    assert outcome(optuna.load_study(study_name="s", storage=rdb)) == outcome(study)
    if pruner == "halving":
        assert any("completed_rung_0" in t.system_attrs for t in study.trials)


def test_clients_at_the_same_time(rdb, storage_url):
    """Threads with storages of their own, as processes have them, on one study."""
    study_in(rdb, study_name="s")

    def client(seed):
        study = optuna.load_study(
            study_name="s",
            storage=BatchedStorage(open_storage(storage_url)),
            sampler=TPESampler(seed=seed, n_startup_trials=4, constant_liar=True),
            pruner=SuccessiveHalvingPruner(1, 2),
        )
        study.optimize(objective, n_trials=8, catch=(ValueError,))

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trials = rdb.get_all_trials(1)
    assert [t.number for t in trials] == list(range(24))
    assert all(t.state.is_finished() for t in trials)
    reported = [t for t in trials if t.number % 5 != 4]
    assert all(t.intermediate_values and "completed_rung_0" in t.system_attrs for t in reported)


CHILD = """
import pickle, sys
study = pickle.load(sys.stdin.buffer)
study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
print(len(study.trials))
"""


def test_pickled_to_another_process(rdb, batched):
    study = study_in(batched, study_name="s")
    trial = study.ask()
    trial.set_user_attr("held", "here")
    command = [sys.executable, "-c", CHILD]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stdout, _ = child.communicate(pickle.dumps(study))
    assert (child.returncode, stdout.split()) == (0, [b"3"])
    assert rdb.get_trial(trial._trial_id).user_attrs == {}, "the other process held nothing of it"
    study.tell(trial, 0.5)
    assert rdb.get_trial(trial._trial_id).user_attrs == {"held": "here"}
    assert [t.number for t in study.trials] == [0, 1, 2]
    again = pickle.loads(pickle.dumps(batched))
    assert len(again.get_all_trials(1)) == 3
