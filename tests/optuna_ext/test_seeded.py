"""Draws of SeededPerTrialSampler follow from the seed and the trial's number."""

import pickle
from functools import partial

import optuna
import pytest
from optuna.samplers import BaseSampler, GridSampler, RandomSampler
from optuna.trial import TrialState, create_trial

from tlsearch.optuna_ext import SeededPerTrialSampler, seeded

NAMES = ("x", "y", "z")


def random_sampler(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def study_of(seed: int = 0) -> optuna.Study:
    return optuna.create_study(sampler=SeededPerTrialSampler(random_sampler, seed))


def draw(trial: optuna.Trial, names: tuple[str, ...] = NAMES) -> list[float]:
    return [trial.suggest_float(name, 0, 1) for name in names]


def test_seeds_numbers_and_parameters_differ() -> None:
    studies = [study_of(seed) for seed in (0, 1)]
    drawn = [value for study in studies for _ in range(3) for value in draw(study.ask())]
    assert len(set(drawn)) == 2 * 3 * 3


def test_trials_that_run_at_the_same_time_draw_what_they_draw_alone() -> None:
    alone, together = study_of(), study_of()
    expected = [draw(alone.ask()) for _ in range(3)]
    trials = [together.ask() for _ in range(3)]
    by_name = [[draw(trial, (name,))[0] for trial in trials] for name in NAMES]
    assert [list(values) for values in zip(*by_name, strict=True)] == expected


def test_threads() -> None:
    alone, threads = study_of(), study_of()
    alone.optimize(lambda trial: sum(draw(trial)), n_trials=20)
    threads.optimize(lambda trial: sum(draw(trial)), n_trials=20, n_jobs=4)
    assert [t.params for t in threads.trials] == [t.params for t in alone.trials]


def test_a_trial_that_begins_again_in_this_process_draws_the_same() -> None:
    study = study_of()
    first = study.ask()
    expected = draw(first)
    fresh = optuna.create_study(sampler=study.sampler)  # its trial has the same key
    assert draw(fresh.ask()) == expected


def test_trials_that_never_end_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeded, "_MOST_KEPT", 4)
    sampler = SeededPerTrialSampler(random_sampler, 0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(10):
        draw(study.ask())
    assert len(sampler._samplers) == 4
    study.tell(9, 0.5)
    assert len(sampler._samplers) == 3


def test_a_pickled_study_draws_the_same() -> None:
    study = study_of(seed=7)
    again = pickle.loads(pickle.dumps(study))
    assert draw(again.ask()) == draw(study.ask())


def test_one_sequence_for_all_trials() -> None:
    """A grid counts in the storage how far it is."""
    grid = partial(GridSampler, {"x": [0.1, 0.2, 0.3, 0.4]})
    sampler = SeededPerTrialSampler(lambda seed: grid(seed=seed), 3, same=True)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
    assert sorted(t.params["x"] for t in study.trials) == [0.1, 0.2, 0.3, 0.4]


def test_a_grid_that_is_used_up_does_not_end_a_study_told_by_hand() -> None:
    sampler = SeededPerTrialSampler(lambda seed: GridSampler({"x": [0.1]}, seed=seed), 0, same=True)
    study = optuna.create_study(sampler=sampler)
    study.add_trial(create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {"x": 1}}))
    for _ in range(3):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, 0.0)
    assert [t.params["x"] for t in study.trials] == [1, 0.1, 0.1]
