"""The sampler by itself: plain Optuna, nothing else of tlsearch."""

import math

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial
from scipy import stats

from tlsearch.optuna_ext.earned_prior import (
    COMPONENT,
    PRIOR,
    TPE,
    UNIFORM,
    EarnedPriorSampler,
    NormalPrior,
    earned_weight,
    standing,
)

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


PRIORS = {
    "rate": NormalPrior(0.01, 0.2),
    "depth": NormalPrior(6, 1.5),
    "share": NormalPrior(0.3, 0.1),
    "kind": NormalPrior(1, 1.0),
}


def suggest(trial):
    return {
        "rate": trial.suggest_float("rate", 1e-4, 1.0, log=True),
        "depth": trial.suggest_int("depth", 0, 20),
        "share": trial.suggest_float("share", 0.0, 1.0, step=0.05),
        "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
        "only": trial.suggest_int("only", 3, 3),
    }


def score(params, rate=0.01, depth=6):
    """Highest at that rate and depth."""
    return (
        -((math.log10(params["rate"]) - math.log10(rate)) ** 2)
        - ((params["depth"] - depth) / 20) ** 2
    )


def run(study, n, **best):
    """Run trials and return their parameters."""
    drawn = []
    for _ in range(n):
        trial = study.ask()
        drawn.append(suggest(trial))
        study.tell(trial, score(drawn[-1], **best))
    return drawn


def study_with(**options):
    sampler = EarnedPriorSampler(options.pop("priors", PRIORS), **options)
    return optuna.create_study(direction="maximize", sampler=sampler)


def components(study):
    return [trial.system_attrs.get(COMPONENT) for trial in study.trials]


class TestDraws:
    def test_follow_from_seed_number_and_storage_alone(self):
        """A process that restarts after each trial draws what one that does not draws."""
        steady, restarted = study_with(seed=5), study_with(seed=5)
        uninterrupted = run(steady, 25)
        drawn = []
        for _ in range(25):
            restarted.sampler = EarnedPriorSampler(PRIORS, seed=5)
            drawn += run(restarted, 1)
        assert drawn == uninterrupted
        assert components(restarted) == components(steady)
        assert set(components(steady)) == {PRIOR, TPE, UNIFORM}

    def test_differ_between_trials_and_seeds(self):
        one, two = run(study_with(seed=0), 12), run(study_with(seed=1), 12)
        assert len({params["rate"] for params in one + two}) == 24

    def test_running_trials_differ_too(self):
        """Workers that ask at once, before any has finished."""
        study = study_with()
        drawn = [suggest(study.ask()) for _ in range(12)]
        assert len({params["rate"] for params in drawn}) == 12

    def test_say_their_component(self):
        study = study_with()
        run(study, 20)
        assert set(components(study)) <= {PRIOR, TPE, UNIFORM}
        assert TPE not in components(study)[:5]

    def test_of_a_trial_that_is_run_again_are_its_own(self):
        study = study_with()
        run(study, 20)
        for component in (PRIOR, UNIFORM):
            number = components(study).index(component)
            first = study.trials[number]
            again = study_with()
            run(again, number)
            again.add_trial(create_trial(state=TrialState.WAITING, system_attrs=first.system_attrs))
            assert run(again, 1) == [first.params | {"only": 3}]

    @pytest.mark.parametrize("component", [PRIOR, UNIFORM, TPE])
    def test_of_a_trial_that_is_run_again_keep_their_component(self, component):
        """Whatever the prior has earned since."""
        for n_before, best in ((1, 6), (40, 18)):
            study = study_with(priors={"depth": NormalPrior(6, 1e-6)})
            run(study, n_before, rate=0.5, depth=best)
            attrs = {COMPONENT: component}
            study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=attrs))
            (drawn,) = run(study, 1)
            assert components(study)[-1] == component
            assert (drawn["depth"] == 6) == (component == PRIOR)

    def test_of_the_prior_are_near_its_mode(self):
        study = study_with(uniform_share=0.0)
        run(study, 40)
        depths = [trial.params["depth"] for trial in study.trials if component_is(trial, PRIOR)]
        shares = [trial.params["share"] for trial in study.trials if component_is(trial, PRIOR)]
        assert len(depths) >= 10
        assert abs(np.mean(depths) - 6) < 1.5
        assert abs(np.mean(shares) - 0.3) < 0.1
        assert np.std(depths) < 3

    def test_of_categories_are_uniform(self):
        study = study_with(uniform_share=0.0)
        run(study, 90)
        kinds = [trial.params["kind"] for trial in study.trials if component_is(trial, PRIOR)]
        counts = [kinds.count(kind) for kind in "abc"]
        assert sum(counts) > 40
        assert stats.chisquare(counts).pvalue > 0.01

    def test_of_unknown_parameters_are_uniform(self):
        study = study_with(priors={"depth": PRIORS["depth"]}, uniform_share=0.0)
        run(study, 90)
        rates = [trial.params["rate"] for trial in study.trials if component_is(trial, PRIOR)]
        uniform = stats.uniform(-4, 4)
        assert len(rates) > 10
        assert stats.kstest(np.log10(rates), uniform.cdf).pvalue > 0.01

    def test_parameters_that_appear_later(self):
        study = study_with(n_startup_trials=2)
        run(study, 5)
        for _ in range(10):
            trial = study.ask()
            suggest(trial)
            assert 0 <= trial.suggest_float("late", 0, 1) <= 1
            study.tell(trial, 0.0)

    @pytest.mark.parametrize("n_startup", [0, 3, 12])
    def test_of_tpe_begin_after_the_startup_trials(self, n_startup):
        study = study_with(priors={}, n_startup_trials=n_startup, uniform_share=0.0)
        run(study, 20)
        assert components(study) == [UNIFORM] * n_startup + [TPE] * (20 - n_startup)

    def test_without_priors(self):
        study = study_with(priors={})
        assert study.sampler.weight(study) == 0
        run(study, 40)
        assert set(components(study)) == {TPE, UNIFORM}
        best = [trial.value for trial in study.trials]
        assert max(best[8:]) > max(best[:8])

    def test_uniform_share_of_one(self):
        study = study_with(uniform_share=1.0)
        run(study, 120)
        assert set(components(study)) == {UNIFORM}
        rates = np.log10([trial.params["rate"] for trial in study.trials])
        assert stats.kstest(rates, stats.uniform(-4, 4).cdf).pvalue > 0.01

    def test_uniform_share_is_kept(self):
        study = study_with(uniform_share=0.3, n_startup_trials=0)
        run(study, 200)
        assert 40 <= components(study).count(UNIFORM) <= 80

    @pytest.mark.parametrize("component", [PRIOR, UNIFORM])
    def test_are_the_same_jointly_and_one_by_one(self, component):
        """Whether a parameter is already known to be searched or not."""
        study = study_with()
        run(study, 20)
        attrs = {COMPONENT: component}
        study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=attrs))
        trial = study.ask()
        frozen, sampler = trial._cached_frozen_trial, study.sampler
        space = sampler.infer_relative_search_space(study, frozen)
        assert space.keys() == {"rate", "depth", "share", "kind"}
        jointly = sampler.sample_relative(study, frozen, space)
        assert jointly == {
            name: sampler.sample_independent(study, frozen, name, distribution)
            for name, distribution in space.items()
        }
        assert suggest(trial) == jointly | {"only": 3}

    def test_of_a_sampler_that_served_another_study(self):
        """In memory, both studies' trials have the same keys."""
        study = study_with(seed=1)
        run(study, 1)
        other = optuna.create_study(direction="maximize", sampler=study.sampler)
        other.add_trial(create_trial(state=TrialState.WAITING, system_attrs={COMPONENT: TPE}))
        run(other, 1)
        assert components(study) != components(other) == [TPE]

    def test_with_hyperband(self):
        """It shows samplers a part of the study only."""
        study = study_with()
        study.pruner = optuna.pruners.HyperbandPruner(max_resource=9)
        run(study, 30)
        assert set(components(study)) == {PRIOR, TPE, UNIFORM}

    def test_of_threads(self):
        study = study_with()
        study.optimize(lambda trial: score(suggest(trial)), n_trials=30, n_jobs=3)
        assert len({trial.params["rate"] for trial in study.trials}) == 30
        assert None not in components(study)


def component_is(trial, component):
    return trial.system_attrs[COMPONENT] == component


FIXED = {"rate": 0.01, "depth": 6, "share": 0.3, "kind": "a"}


class TestEnqueued:
    def test_trial_that_says_so_counts_as_a_prior_draw(self):
        study = study_with()
        attrs = {"fixed_params": FIXED, COMPONENT: PRIOR}
        study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=attrs))
        assert run(study, 1) == [FIXED | {"only": 3}]
        assert standing(study) == (1, 1, 0, 0)
        assert study.sampler.weight(study) > 0.5 * earned_weight(0, 0, 0, 0)

    def test_trial_counts_for_no_component_otherwise(self):
        study = study_with()
        for _ in range(10):
            study.enqueue_trial(FIXED)
        run(study, 10)
        assert standing(study) == (0, 0, 0, 0)


class TestEarning:
    """What the sampler is for: a right prior is followed, a wrong one is dropped."""

    def test_right_prior(self):
        """Until TPE has learnt as much: prior draws are frequent at first, beside a wrong one's."""
        early = {"right": 0, "wrong": 0}
        for seed in range(5):
            right, wrong = study_with(seed=seed), study_with(seed=seed)
            run(right, 25)
            run(wrong, 25, rate=0.5, depth=18)
            early["right"] += components(right)[5:].count(PRIOR)
            early["wrong"] += components(wrong)[5:].count(PRIOR)
        assert early["right"] >= 25
        assert early["wrong"] <= early["right"] / 2

    def test_never_more_than_its_share(self):
        study = study_with(max_share=0.2, uniform_share=0.0)
        run(study, 3)
        assert study.sampler.weight(study) <= 0.2

    @pytest.mark.parametrize("seed", range(5))
    def test_wrong_prior(self, seed):
        study = study_with(seed=seed)
        run(study, 60, rate=0.5, depth=18)
        assert components(study)[40:].count(PRIOR) <= 2
        assert study.sampler.weight(study) < 0.1
        assert study.best_trial.params["rate"] > 0.1

    def test_when_minimising(self):
        def distance_from(best):
            return lambda trial: (trial.suggest_float("x", -5, 5) - best) ** 2

        counts = []
        for best in (1.0, -4.0):
            study = optuna.create_study(sampler=EarnedPriorSampler({"x": NormalPrior(1.0, 0.1)}))
            study.optimize(distance_from(best), 40)
            counts.append(components(study).count(PRIOR))
        assert counts[0] >= 8
        assert counts[1] <= counts[0] / 2


class TestErrorMessages:
    @pytest.mark.parametrize("spread", [0, -1.0, math.nan])
    def test_spread(self, spread):
        with pytest.raises(ValueError, match=r"the spread of lr is .*; it must be above 0"):
            EarnedPriorSampler({"lr": NormalPrior(0.1, spread)})

    @pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
    def test_uniform_share(self, share):
        with pytest.raises(ValueError, match=r"uniform_share is .*; it must lie in \[0, 1\]"):
            EarnedPriorSampler({}, uniform_share=share)
        with pytest.raises(ValueError, match=r"max_share is .*; it must lie in \[0, 1\]"):
            EarnedPriorSampler({}, max_share=share)

    def test_several_objectives(self):
        sampler = EarnedPriorSampler(PRIORS)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        with pytest.raises(ValueError, match="one objective"):
            suggest(study.ask())
