"""TPE on some of the trials: the same good ones, the same draws in every process."""

import math
import random
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from tlsearch.optuna_ext import SeededPerTrialSampler, ThinnedTPESampler
from tlsearch.optuna_ext.accumulators import FinishedSpace, accumulated
from tlsearch.optuna_ext.thinned_tpe import Ranking
from tlsearch.sampler import build_sampler
from tlsearch.spec import SamplerSpec

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
SPACE = {
    "x": FloatDistribution(0, 1),
    "y": FloatDistribution(1e-3, 1.0, log=True),
    "z": IntDistribution(0, 20),
}


def drawn(trial):
    return (
        trial.suggest_float("x", 0, 1),
        trial.suggest_float("y", 1e-3, 1.0, log=True),
        trial.suggest_int("z", 0, 20),
    )


def random_trials(n, seed=0, states=(COMPLETE,)):
    """Trials with ties, some of them pruned early, late, or before they reported anything."""
    generator = np.random.default_rng(seed)
    for _ in range(n):
        state = states[generator.integers(len(states))]
        x, z = float(generator.random()), int(generator.integers(21))
        steps = range(int(generator.integers(0, 4)))
        yield create_trial(
            state=state,
            value=round(x, 2) if state is COMPLETE else None,
            params={"x": x, "y": 10 ** -(3 * float(generator.random())), "z": z},
            distributions=SPACE,
            intermediate_values={s: float(generator.choice([x, math.nan])) for s in steps},
        )


def study_of(trials, sampler=None, direction="maximize"):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.add_trials(trials)
    return study


def seen(study, sampler=None):
    """The numbers of the finished trials that TPE gets."""
    view = (sampler or ThinnedTPESampler())._thinned(study)
    return [t.number for t in view._get_trials(states=(COMPLETE, PRUNED))]


def seeded(kind, options):
    return SeededPerTrialSampler(lambda seed: kind(seed=seed, **options), 3)


@pytest.mark.parametrize("n", [5, 40])
def test_up_to_the_limit_it_is_tpe(n):
    trials = list(random_trials(600, states=(COMPLETE, PRUNED, FAIL)))
    for options in ({"multivariate": True}, {"multivariate": False}, {}):
        studies = [
            study_of(trials, seeded(kind, options)) for kind in (TPESampler, ThinnedTPESampler)
        ]
        found: list[list[tuple[float, float, int]]] = []
        for study in studies:
            found.append([])
            for _ in range(n):
                trial = study.ask()
                found[-1].append(drawn(trial))
                study.tell(trial, 0.5)
        assert found[0] == found[1]
        assert len(set(found[0])) == n


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_good_ones_are_those_of_tpe(direction):
    """Down to ties, pruned trials, and trials that broke a constraint."""
    for n_complete in (2000, 12):  # with 12 of them, pruned ones count as good
        trials = [*random_trials(n_complete), *random_trials(1500, 1, (PRUNED,))]
        trials += [_infeasible(t) for t in random_trials(40, 2)]
        random.Random(0).shuffle(trials)
        study = study_of(trials, direction=direction)
        all_ = study.get_trials(states=(COMPLETE, PRUNED), deepcopy=False)
        few = ThinnedTPESampler()._thinned(study)._get_trials(states=(COMPLETE, PRUNED))
        assert 450 <= len(few) <= 500
        good = [_split_trials(study, each, default_gamma(len(each)))[0] for each in (all_, few)]
        assert len(good[0]) == 25
        assert [t.number for t in good[0]] == [t.number for t in good[1]]


def _infeasible(trial):
    return create_trial(
        value=99.0 if trial.params["x"] > 0.5 else -99.0,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs={"constraints": [trial.params["x"]]},
    )


def test_the_whole_order_is_that_of_tpe():
    study = study_of(random_trials(300, states=(COMPLETE, PRUNED)))
    trials = study.get_trials(deepcopy=False)
    with accumulated(Ranking, study) as ranking:
        ranked = [trial.number for _, trial in ranking._ranked]
    for n in range(1, 300, 7):
        below, _ = _split_trials(study, trials, n)
        assert sorted(ranked[:n]) == [t.number for t in below]


def test_what_is_left_of_the_others():
    study = study_of(random_trials(3000))
    kept = seen(study)
    assert kept == sorted(set(kept))
    assert set(range(2900, 3000)) <= set(kept)
    gaps = np.diff([number for number in kept if number < 2900])
    assert gaps.max() <= 10


def test_any_process_sees_the_same():
    """In whatever order it got to know the trials."""
    trials = list(random_trials(1500, states=(COMPLETE, PRUNED)))
    study = study_of(trials)
    frozen = study.get_trials(deepcopy=False)
    kept = seen(study)
    for seed in range(3):
        shuffled = random.Random(seed).sample(frozen, len(frozen))
        ranking = Ranking(study)
        for trial in shuffled:
            ranking.add(trial)
        assert [t.number for t in ranking.thinned()] == kept


def test_grows_with_the_study():
    trials = list(random_trials(1110))
    study, sampler = study_of(trials[:1100]), ThinnedTPESampler()
    for n in range(1100, 1110):
        assert seen(study, sampler) == seen(study_of(trials[:n]))
        study.add_trial(trials[n])


def test_draws_follow_from_seed_and_trials():
    trials = list(random_trials(1200))
    found: list[list[tuple[float, float, int]]] = []
    for restarts in (False, True):
        study = study_of(trials, build_sampler(SamplerSpec(name="tpe", seed=7)))
        found.append([])
        for _ in range(6):
            if restarts:
                study.sampler = build_sampler(SamplerSpec(name="tpe", seed=7))
            trial = study.ask()
            found[-1].append(drawn(trial))
            study.tell(trial, found[-1][-1][0])
    assert found[0] == found[1]
    assert len(set(found[0])) == 6
    assert np.mean([x for x, _, _ in found[0]]) > 0.8


def test_running_trials_are_seen():
    """By which those who ask at once keep apart."""
    study = study_of(random_trials(1200))
    running = study.ask()
    view = ThinnedTPESampler()._thinned(study)
    assert running.number in [t.number for t in view._get_trials()]
    assert view._get_trials(states=(TrialState.RUNNING,))[0].number == running.number
    assert FAIL not in {t.state for t in view.get_trials()}


def test_parameters_are_those_that_tpe_searches():
    trials = list(random_trials(30, states=(COMPLETE, PRUNED, FAIL)))
    odd = {"x": FloatDistribution(0, 2), "y": SPACE["y"], "late": IntDistribution(3, 3)}
    params = {"x": 0.5, "y": 0.5, "late": 3}
    for state in (FAIL, PRUNED):
        study = study_of(trials)
        for _ in range(3):
            study.add_trial(create_trial(state=state, params=params, distributions=odd))
            theirs = IntersectionSearchSpace(include_pruned=True).calculate(study)
            with accumulated(FinishedSpace, study) as space:
                assert space.to_search() == {k: d for k, d in theirs.items() if not d.single()}
        assert set(space.to_search()) == ({"x", "y", "z"} if state is FAIL else {"y"})


def test_parameters_that_appear_later():
    sampler = ThinnedTPESampler(seed=0, multivariate=True)
    study = study_of(random_trials(1100), sampler)
    for _ in range(3):
        trial = study.ask()
        drawn(trial)
        assert 0 <= trial.suggest_float("late", 0, 1) <= 1
        study.tell(trial, 0.5)


def test_groups():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = ThinnedTPESampler(seed=0, multivariate=True, group=True)
    study = study_of(random_trials(1100), sampler)
    assert sampler.infer_relative_search_space(study, study.ask()._cached_frozen_trial).keys() == {
        "x",
        "y",
        "z",
    }
    drawn(study.ask())


def test_several_objectives_are_left_to_tpe():
    study = optuna.create_study(
        directions=[StudyDirection.MAXIMIZE] * 2, sampler=ThinnedTPESampler(seed=0)
    )
    for _ in range(15):
        trial = study.ask()
        x, y, _ = drawn(trial)
        study.tell(trial, [x, y])
    assert ThinnedTPESampler()._thinned(study) is study


def test_startup_trials_beyond_the_limit():
    """All are drawn at random until so many are there, as TPE does it."""
    sampler = ThinnedTPESampler(n_startup_trials=1300)
    study = study_of(random_trials(1250))
    assert sampler._thinned(study) is study
    study.add_trials(list(random_trials(100)))
    assert len(seen(study, sampler)) >= 1300


def test_with_hyperband():
    study = study_of(random_trials(1100), ThinnedTPESampler(seed=0, multivariate=True))
    study.pruner = optuna.pruners.HyperbandPruner(max_resource=9)
    for _ in range(4):
        trial = study.ask()
        drawn(trial)
        trial.report(0.5, 1)
        trial.should_prune()
        study.tell(trial, 0.5)
