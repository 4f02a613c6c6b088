"""From the `[sampler]` and `[pruner]` tables to Optuna's samplers and pruners."""

import math
import statistics

import optuna
import pytest
from optuna import pruners

from tlsearch.errors import SpecError
from tlsearch.records import HYPERPARAMETER_NAMES
from tlsearch.sampler import (
    COMPONENT,
    PRIOR,
    EarnedPriorSampler,
    NormalPrior,
    build_pruner,
    build_sampler,
    origin_of,
)
from tlsearch.space import resolve
from tlsearch.spec import PrunerSpec, SamplerSpec, SpaceSpec, parse_spec

OF_OPTUNA = [name for name in optuna.samplers.__all__ if name.endswith("Sampler")]
NOT_SAMPLERS = ["BaseSampler", "BaseGASampler", "PartialFixedSampler"]

MINIMAL = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "resnet18"}}

WIDE = resolve(SpaceSpec(), 17)
# 8 points, for samplers that go through all of them
GRID = resolve(
    SpaceSpec(
        reinit_layers=[1, 2],
        low_layers=[3, 4],
        l2sp_layers=[0, 1],
        high_lr=0.01,
        low_lr_ratio=0.3,
        alpha=0.01,
        beta=0.001,
    ),
    17,
)
GRIDS = ("GridSampler", "BruteForceSampler")
POINTS = {"reinit_layers": [1, 2], "low_layers": [3, 4], "l2sp_layers": [0, 1]}


def spec_of(name):
    return SamplerSpec(name=name, options={"search_space": POINTS} if name == "GridSampler" else {})


def study_with(sampler):
    return optuna.create_study(direction="maximize", sampler=sampler)


def run(study, space, n):
    """As a worker does: ask, suggest all seven, tell."""
    drawn = []
    for _ in range(n):
        trial = study.ask()
        drawn.append(space.suggest(trial))
        study.tell(trial, -abs(math.log(drawn[-1].high_lr / 0.02)) - drawn[-1].reinit_layers)
    return drawn


def problem_of(spec):
    with pytest.raises(SpecError) as caught:
        build_sampler(spec)
    (problem,) = caught.value.problems
    assert "\n" not in problem
    return problem


def built(name):
    """The sampler; the test is over where building it says why it cannot be used here."""
    try:
        return build_sampler(spec_of(name))
    except SpecError as error:
        assert name in ("CmaEsSampler", *GRIDS)
        assert name in problem_of(spec_of(name))
        pytest.skip(str(error))


class TestOptunasSamplers:
    @pytest.mark.parametrize("name", sorted(set(OF_OPTUNA) - set(NOT_SAMPLERS)))
    def test_draws_or_is_refused_when_built(self, name):
        sampler = built(name)
        space = GRID if name in GRIDS else WIDE
        drawn = run(study_with(sampler), space, 8)
        assert len(set(drawn)) == 8
        for params in drawn:
            for key in HYPERPARAMETER_NAMES:
                assert space.ranges[key].low <= getattr(params, key) <= space.ranges[key].high

    @pytest.mark.parametrize("name", sorted(set(OF_OPTUNA) - set(NOT_SAMPLERS)))
    def test_any_worker_draws_the_same(self, name):
        space = GRID if name in GRIDS else WIDE
        uninterrupted = run(study_with(built(name)), space, 8)
        restarted, drawn = study_with(None), []
        for _ in range(8):
            restarted.sampler = build_sampler(spec_of(name))
            drawn += run(restarted, space, 1)
        assert drawn == uninterrupted

    @pytest.mark.parametrize("name", ["random", "tpe", "RandomSampler"])
    def test_hyperparameters_of_a_trial_are_drawn_apart(self, name):
        sampler = build_sampler(SamplerSpec(name=name, startup_trials=40))
        drawn = run(study_with(sampler), WIDE, 40)
        rates, alphas = ([math.log(getattr(d, key)) for d in drawn] for key in ("high_lr", "alpha"))
        assert abs(statistics.correlation(rates, alphas)) < 0.4

    @pytest.mark.parametrize("name", GRIDS)
    def test_goes_on_after_the_last_point(self, name):
        drawn = run(study_with(built(name)), GRID, 10)
        assert len(set(drawn)) == 8

    def test_options_are_passed_on(self):
        """TPE as Optuna has it, told to draw its first 12 trials at random, is a random search."""
        for n, same in ((12, True), (2, False)):
            options = {"n_startup_trials": n, "multivariate": True}
            tpe = build_sampler(SamplerSpec(name="TPESampler", options=options))
            chance = build_sampler(SamplerSpec(name="RandomSampler"))
            drawn = run(study_with(tpe), WIDE, 12), run(study_with(chance), WIDE, 12)
            assert (drawn[0] == drawn[1]) == same

    @pytest.mark.parametrize(
        ("name", "options", "why"),
        [
            ("TPESampler", {"startup": 3}, "startup"),
            ("TPESampler", {"seed": 3}, "seed"),
            ("QMCSampler", {"qmc_type": "grid"}, "qmc_type"),
            ("NSGAIISampler", {"population_size": 1}, "population_size"),
            ("NSGAIISampler", {"crossover": "none"}, "crossover"),
        ],
    )
    def test_options_that_it_does_not_take(self, name, options, why):
        problem = problem_of(SamplerSpec(name=name, options=options))
        assert problem.startswith(f"sampler: {name} cannot be built with options")
        assert why in problem

    @pytest.mark.parametrize("grid", [None, 3, ["high_lr"], {"high_lr": 3}])
    def test_grid_that_is_none(self, grid):
        options = {} if grid is None else {"search_space": grid}
        assert "GridSampler" in problem_of(SamplerSpec(name="GridSampler", options=options))

    @pytest.mark.parametrize("name", ["NoSuchSampler", "BaseSampler", "PartialFixedSampler"])
    def test_no_such_sampler(self, name):
        problem = problem_of(SamplerSpec(name=name))
        assert problem.startswith(f"sampler.name = {name!r}: Optuna has no such sampler; use ")
        assert "GPSampler" in problem

    def test_offers_none_that_it_would_refuse(self):
        assert "BaseGASampler" in problem_of(SamplerSpec(name="BaseGASampler"))
        offered = problem_of(SamplerSpec(name="NoSuchSampler")).partition("; use ")[2].split(", ")
        assert not set(offered) & set(NOT_SAMPLERS)

    @pytest.mark.parametrize("name", ["annealing", "Sampler", "optuna.samplers.TPESampler", ""])
    def test_spec_knows_what_a_name_looks_like(self, name):
        with pytest.raises(SpecError, match=r"sampler.name"):
            parse_spec({**MINIMAL, "sampler": {"name": name}})

    def test_options_are_for_optunas_classes(self):
        with pytest.raises(SpecError, match=r"options are for a class of .*; 'tpe'"):
            parse_spec({**MINIMAL, "sampler": {"name": "tpe", "options": {"multivariate": True}}})


BELIEFS = {"high_lr": NormalPrior(0.02, 0.1), "low_layers": NormalPrior(4, 1.0)}


class TestEarnedPrior:
    def test_is_the_default(self):
        assert isinstance(build_sampler(SamplerSpec()), EarnedPriorSampler)
        study = study_with(build_sampler(SamplerSpec(), BELIEFS))
        run(study, WIDE, 30)
        prior = [t for t in study.trials if t.system_attrs[COMPONENT] == PRIOR]
        assert len(prior) > 5
        assert all(0.01 < trial.params["high_lr"] < 0.04 for trial in prior)

    def test_without_beliefs_never_draws_from_them(self):
        study = study_with(build_sampler(SamplerSpec()))
        run(study, WIDE, 30)
        assert PRIOR not in {trial.system_attrs[COMPONENT] for trial in study.trials}

    def test_takes_seed_startup_and_share(self):
        def drawn(**options):
            spec = SamplerSpec(**options)
            study = study_with(build_sampler(spec, BELIEFS))
            return run(study, WIDE, 12), {trial.system_attrs[COMPONENT] for trial in study.trials}

        assert drawn(seed=1) == drawn(seed=1)
        assert drawn(seed=1) != drawn(seed=2)
        assert drawn(uniform_share=1.0)[1] == {"uniform"}
        assert "tpe" not in drawn(startup_trials=12)[1]
        assert "tpe" in drawn(startup_trials=2)[1]


NAMES = {
    "none": pruners.NopPruner,
    "median": pruners.MedianPruner,
    "percentile": pruners.PercentilePruner,
    "successive_halving": pruners.SuccessiveHalvingPruner,
    "hyperband": pruners.HyperbandPruner,
    "wilcoxon": pruners.WilcoxonPruner,
}
PRUNING = [name for name in [*NAMES, "patient"] if name != "none"]


def first_prunings(spec, epochs, n=12):
    """Epochs at which trials that only fall are pruned, after good ones; `inf` = never."""
    study = optuna.create_study(
        study_name="curves", direction="maximize", pruner=build_pruner(spec, epochs)
    )
    found = []
    for number in range(n):
        good = number < 6
        trial = study.ask()
        pruned_at = math.inf
        for epoch in range(1, epochs + 1):
            value = (0.8 + 0.01 * number if good else 0.5 - 0.01 * number) - 0.001 * epoch
            trial.report(value, epoch)
            if not good and trial.should_prune():
                pruned_at = epoch
                break
        state = optuna.trial.TrialState.COMPLETE
        study.tell(trial, value, state if pruned_at == math.inf else None)
        if not good:
            found.append(pruned_at)
    return found


class TestPruners:
    @pytest.mark.parametrize(("name", "expected"), NAMES.items())
    def test_are_optunas(self, name, expected):
        assert type(build_pruner(PrunerSpec(name=name), 20)) is expected

    @pytest.mark.parametrize("name", ["none", *PRUNING])
    @pytest.mark.parametrize("epochs", [1, 7, 20])
    @pytest.mark.parametrize("warmup", [0.2, 0.5, 1.0])
    def test_none_prunes_before_the_warmup_is_over(self, name, warmup, epochs):
        spec = PrunerSpec(name=name, warmup_fraction=warmup, patience_epochs=1, p_threshold=0.3)
        assert min(first_prunings(spec, epochs)) >= warmup * epochs

    @pytest.mark.parametrize("name", PRUNING)
    def test_each_prunes_what_lags(self, name):
        spec = PrunerSpec(name=name, warmup_fraction=0.2, patience_epochs=3)
        assert min(first_prunings(spec, 20)) <= 7

    def test_none_never_prunes(self):
        assert set(first_prunings(PrunerSpec(name="none"), 20)) == {math.inf}

    @pytest.mark.parametrize("name", ["median", "percentile"])
    def test_startup_trials_are_complete_before_any_is_pruned(self, name):
        for startup, expected in ((6, 4), (7, math.inf)):
            spec = PrunerSpec(name=name, warmup_fraction=0.2, startup_trials=startup)
            assert first_prunings(spec, 20, n=7) == [expected]

    @pytest.mark.parametrize(("patience", "expected"), [(3, 5), (8, 10), (30, math.inf)])
    def test_patience(self, patience, expected):
        """A trial that falls from its first epoch has no new best in all those after it."""
        spec = PrunerSpec(name="patient", warmup_fraction=0.2, patience_epochs=patience)
        assert set(first_prunings(spec, 20)) == {expected}

    @pytest.mark.parametrize("factor", [2, 4])
    def test_reduction_factor(self, factor):
        """Of many equal competitors, one in so many passes each rung."""
        spec = PrunerSpec(name="successive_halving", warmup_fraction=0.2, reduction_factor=factor)
        study = optuna.create_study(direction="maximize", pruner=build_pruner(spec, 10))
        passed = 0
        for number in range(200):
            trial = study.ask()
            for epoch in (1, 2, 3):
                trial.report((number * 37 % 200) / 200, epoch)
                if trial.should_prune():
                    break
            else:
                passed += 1
            study.tell(trial, 0.0)
        assert passed == pytest.approx(200 / factor, rel=0.25)

    @pytest.mark.parametrize("fraction", [0.0, 0.19, 1.01])
    def test_warmup_is_at_least_a_fifth(self, fraction):
        with pytest.raises(SpecError, match=r"pruner.warmup_fraction"):
            parse_spec({**MINIMAL, "pruner": {"warmup_fraction": fraction}})


class TestOrigin:
    @pytest.mark.parametrize(
        ("component", "name", "n_finished", "origin"),
        [
            ("prior", "earned_prior", 0, "draw"),
            ("tpe", "earned_prior", 20, "tpe"),
            ("uniform", "earned_prior", 20, "uniform"),
            (None, "random", 20, "uniform"),
            (None, "tpe", 7, "uniform"),
            (None, "tpe", 8, "tpe"),
            (None, "GPSampler", 0, "GPSampler"),
        ],
    )
    def test_says_who_drew(self, component, name, n_finished, origin):
        attrs = {COMPONENT: component} if component else {}
        trial = optuna.trial.create_trial(value=0.0, system_attrs=attrs)
        assert origin_of(trial, SamplerSpec(name=name), n_finished) == origin

    @pytest.mark.parametrize("name", ["earned_prior", "tpe", "random"])
    def test_of_real_trials(self, name):
        spec = SamplerSpec(name=name, startup_trials=3)
        study = study_with(build_sampler(spec, BELIEFS))
        run(study, WIDE, 20)
        origins = [origin_of(trial, spec, trial.number) for trial in study.trials]
        expected = {"earned_prior": {"draw", "tpe", "uniform"}, "tpe": {"tpe", "uniform"}}
        assert set(origins) == expected.get(name, {"uniform"})
        assert "tpe" not in origins[:3]
