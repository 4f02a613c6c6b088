"""From the `[sampler]` and `[pruner]` tables to Optuna's samplers and pruners."""

import math
import statistics
from importlib.util import find_spec
from typing import Any

import optuna
import pytest
from optuna import pruners

from tlsearch.errors import SpecError
from tlsearch.optuna_ext import EarnedPriorSampler, IncrementalPercentilePruner, NormalPrior
from tlsearch.optuna_ext.earned_prior import COMPONENT, PRIOR
from tlsearch.records import HYPERPARAMETER_NAMES, Hyperparameters, Range
from tlsearch.sampler import build_pruner, build_sampler, origin_of, try_sampler
from tlsearch.space import resolve
from tlsearch.spec import PrunerSpec, SamplerSpec, SpaceSpec, parse_spec

OF_OPTUNA = sorted(optuna.samplers.__all__)
NOT_SAMPLERS = ["BaseSampler", "BaseGASampler", "PartialFixedSampler", "BruteForceSampler"]

MINIMAL = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "resnet18"}}

WIDE = resolve(SpaceSpec(), 17)
# 8 points, for samplers that go through all of them
GRID = resolve(
    SpaceSpec(
        reinit_layers=Range(1, 2),
        low_layers=Range(3, 4),
        l2sp_layers=Range(0, 1),
        high_lr=Range(0.01, 0.01),
        low_lr_ratio=Range(0.3, 0.3),
        alpha=Range(0.01, 0.01),
        beta=Range(0.001, 0.001),
    ),
    17,
)
POINTS: dict[str, list[float]] = {
    "reinit_layers": [1, 2],
    "low_layers": [3, 4],
    "l2sp_layers": [0, 1],
    "high_lr": [0.01],
    "low_lr_ratio": [0.3],
    "alpha": [0.01],
    "beta": [0.001],
}
# Options with which each draws by its own method within a dozen trials.
OPTIONS: dict[str, dict[str, Any]] = {
    "GPSampler": {"n_startup_trials": 4},
    "GridSampler": {"search_space": POINTS},
    "NSGAIISampler": {"population_size": 4},
    "NSGAIIISampler": {"population_size": 4},
    "TPESampler": {"n_startup_trials": 4},
}
WORKING = {
    "GPSampler",
    "NSGAIIISampler",
    "NSGAIISampler",
    "QMCSampler",
    "RandomSampler",
    "TPESampler",
}
NEEDS = {"CmaEsSampler": "cmaes"}
USABLE = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name in NEEDS and find_spec(NEEDS[name]) is None, reason="its package is missing"
        ),
    )
    for name in OF_OPTUNA
    if name.endswith("Sampler") and name not in NOT_SAMPLERS
]


def spec_of(name):
    return SamplerSpec(name=name, options=OPTIONS.get(name, {}))


def trials_for(name):
    """So that each draws by its own method; a draw of GPSampler takes a quarter of a second."""
    return 7 if name == "GPSampler" else 12


def grid_of(**changed):
    """The grid with other values; without those that are None."""
    points = {key: value for key, value in {**POINTS, **changed}.items() if value is not None}
    return SamplerSpec(name="GridSampler", options={"search_space": points})


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


def problem_of(spec, refuse=lambda spec: try_sampler(spec, WIDE)):
    with pytest.raises(SpecError) as caught:
        refuse(spec)
    (problem,) = caught.value.problems
    assert "\n" not in problem
    return problem


def why_not(spec, space=WIDE):
    """Why `try_sampler` refuses a sampler that `build_sampler` knows by name."""
    build_sampler(spec)
    problem = problem_of(spec, lambda spec: try_sampler(spec, space))
    options = f" with options {spec.options}" if spec.options else ""
    start, end = f"sampler: {spec.name}{options} does not work here (", "); correct it or use tpe"
    assert problem.startswith(start)
    assert problem.endswith(end)
    return problem[len(start) : -len(end)]


class TestOptunasSamplers:
    @pytest.mark.parametrize("name", OF_OPTUNA)
    def test_works_or_raises_spec_error(self, name):
        """For every sampler of Optuna, later ones too: SpecError alone, before any training."""
        problems: list[str] = []
        try:
            try_sampler(parse_spec({**MINIMAL, "sampler": {"name": name}}).sampler, WIDE)
        except SpecError as error:
            problems += error.problems
        if name in WORKING:
            assert problems == []
        if name in (*NOT_SAMPLERS, "GridSampler", "nsgaii"):
            assert len(problems) == 1

    @pytest.mark.parametrize("name", USABLE)
    def test_draws(self, name):
        try_sampler(spec_of(name), WIDE)
        drawn = run(study_with(build_sampler(spec_of(name))), WIDE, trials_for(name))
        assert len(set(drawn)) == trials_for(name) or name == "GridSampler"
        for params in drawn:
            for key in HYPERPARAMETER_NAMES:
                assert WIDE.ranges[key].low <= getattr(params, key) <= WIDE.ranges[key].high

    @pytest.mark.parametrize("name", USABLE)
    def test_any_worker_draws_the_same(self, name):
        n_trials = trials_for(name)
        uninterrupted = run(study_with(build_sampler(spec_of(name))), WIDE, n_trials)
        restarted = study_with(None)
        drawn: list[Hyperparameters] = []
        for _ in range(n_trials):
            restarted.sampler = build_sampler(spec_of(name))
            drawn += run(restarted, WIDE, 1)
        assert drawn == uninterrupted

    @pytest.mark.parametrize("name", ["random", "tpe", "earned_prior"])
    def test_our_names_work(self, name):
        try_sampler(SamplerSpec(name=name), WIDE)

    @pytest.mark.parametrize("name", ["random", "tpe", *USABLE])
    def test_a_space_of_one_point(self, name):
        point = {key: values[0] for key, values in POINTS.items()}
        space = resolve(SpaceSpec.model_validate(point), 17)
        try_sampler(spec_of(name), space)
        assert [d.as_dict() for d in run(study_with(build_sampler(spec_of(name))), space, 6)] == [
            point
        ] * 6

    @pytest.mark.parametrize("name", ["random", "tpe", "RandomSampler"])
    def test_hyperparameters_of_a_trial_are_drawn_apart(self, name):
        sampler = build_sampler(SamplerSpec(name=name, startup_trials=40))
        drawn = run(study_with(sampler), WIDE, 40)
        rates, alphas = ([math.log(getattr(d, key)) for d in drawn] for key in ("high_lr", "alpha"))
        assert abs(statistics.correlation(rates, alphas)) < 0.4

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
            ("TPESampler", {"n_startup_trials": "many"}, "str"),
            ("TPESampler", {"n_startup_trials": 1, "n_ei_candidates": 0}, "size 0"),
            ("QMCSampler", {"qmc_type": "grid"}, "qmc_type"),
            ("NSGAIISampler", {"population_size": 1}, "population_size"),
            ("NSGAIISampler", {"crossover": "none"}, "crossover"),
        ],
    )
    def test_options_that_it_does_not_take(self, name, options, why):
        assert why in why_not(SamplerSpec(name=name, options=options))

    def test_options_that_show_late(self):
        why_not(SamplerSpec(name="TPESampler", options={"n_ei_candidates": 0}))

    @pytest.mark.skipif(find_spec("cmaes") is not None, reason="it is installed")
    def test_package_that_is_missing(self):
        assert "cmaes" in why_not(SamplerSpec(name="CmaEsSampler"))

    @pytest.mark.parametrize(
        "error", [ImportError("no foo.\nInstall foo."), ValueError(), OSError("no foo.\n\n")]
    )
    def test_any_error_of_a_sampler_is_one_line(self, monkeypatch, error):
        class Broken(optuna.samplers.RandomSampler):
            def sample_independent(self, *args):
                raise error

        monkeypatch.setattr(optuna.samplers, "QMCSampler", Broken)
        why = why_not(SamplerSpec(name="QMCSampler"))
        assert why == ("no foo." if str(error) else "ValueError")

    @pytest.mark.parametrize("refuse", [build_sampler, lambda spec: try_sampler(spec, WIDE)])
    @pytest.mark.parametrize("name", ["NoSuchSampler", *NOT_SAMPLERS])
    def test_no_such_sampler(self, name, refuse):
        problem = problem_of(SamplerSpec(name=name), refuse)
        start, _, offered = problem.partition("; use ")
        assert start == f"sampler.name = {name!r}: Optuna has no such sampler of use here"
        assert {"TPESampler", "GPSampler", "GridSampler"} <= set(offered.split(", "))
        for other in offered.split(", "):
            build_sampler(SamplerSpec(name=other))

    @pytest.mark.parametrize("name", ["annealing", "Sampler", "optuna.samplers.TPESampler", ""])
    def test_spec_knows_what_a_name_looks_like(self, name):
        with pytest.raises(SpecError, match=r"sampler.name"):
            parse_spec({**MINIMAL, "sampler": {"name": name}})

    def test_options_are_for_optunas_classes(self):
        with pytest.raises(SpecError, match=r"options are for a class of .*; 'tpe'"):
            parse_spec({**MINIMAL, "sampler": {"name": "tpe", "options": {"multivariate": True}}})


class TestGrid:
    SPEC = spec_of("GridSampler")

    @pytest.mark.parametrize("space", [GRID, WIDE])
    def test_draws_its_points_and_goes_on_after_the_last(self, space):
        try_sampler(self.SPEC, space)
        drawn = run(study_with(build_sampler(self.SPEC)), space, 20)
        for params in drawn:
            assert all(value in POINTS[key] for key, value in params.as_dict().items())

    @pytest.mark.parametrize("seed", range(3))
    def test_draws_each_point_once(self, seed):
        spec = self.SPEC.model_copy(update={"seed": seed})
        assert len(set(run(study_with(build_sampler(spec)), GRID, 8))) == 8

    def test_knobs_that_the_space_fixes_need_no_values(self):
        free = {key: values for key, values in POINTS.items() if len(values) > 1}
        spec = SamplerSpec(name="GridSampler", options={"search_space": free})
        try_sampler(spec, GRID)
        run(study_with(build_sampler(spec)), GRID, 12)
        assert "high_lr" in why_not(spec, WIDE)

    @pytest.mark.parametrize(
        "queued_at",
        range(10),
    )
    def test_beside_a_trial_of_the_users(self, queued_at):
        own = {key: values[0] for key, values in POINTS.items()}
        study = study_with(build_sampler(self.SPEC))
        run(study, GRID, queued_at)
        study.enqueue_trial(own)
        assert run(study, GRID, 1)[0].as_dict() == own
        run(study, GRID, 3)

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({}, "search_space"),
            ({"search_space": 3}, "int"),
            ({"search_space": ["high_lr"]}, "list"),
            ({"search_space": {"high_lr": 3}}, "int"),
            ({"search_space": {}}, "not found in the given grid"),
            ({"search_space": {"high_lr": [0.01]}}, "not found in the given grid"),
            (grid_of(alpha=None).options, "alpha"),
            (grid_of(alpha=[]).options, "empty"),
            (grid_of(alpha=["much"]).options, "much"),
        ],
    )
    def test_grids_with_errors(self, options, why):
        assert why in why_not(SamplerSpec(name="GridSampler", options=options))

    @pytest.mark.filterwarnings("ignore:The value .* is out of range")
    @pytest.mark.parametrize("points", [{"high_lr": [5.0]}, {"low_layers": [3, 30]}])
    def test_outside_the_space(self, points):
        why_not(grid_of(**points))


BELIEFS = {"high_lr": NormalPrior(0.02, 0.1), "low_layers": NormalPrior(4, 1.0)}


class TestEarnedPrior:
    def test_is_the_default(self):
        assert isinstance(build_sampler(SamplerSpec()), EarnedPriorSampler)
        study = study_with(build_sampler(SamplerSpec(), BELIEFS))
        run(study, WIDE, 30)
        prior = [t for t in study.trials if t.system_attrs[COMPONENT] == PRIOR]
        assert prior
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
    "median": IncrementalPercentilePruner,  # decides as Optuna's own
    "percentile": IncrementalPercentilePruner,
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
    def test_names_the_component(self, component, name, n_finished, origin):
        attrs = {COMPONENT: component} if component else {}
        trial = optuna.trial.create_trial(value=0.0, system_attrs=attrs)
        spec = SamplerSpec(name=name, startup_trials=8)
        assert origin_of(trial, spec, n_finished) == origin

    @pytest.mark.parametrize("name", ["earned_prior", "tpe", "random"])
    def test_of_real_trials(self, name):
        spec = SamplerSpec(name=name, startup_trials=3)
        study = study_with(build_sampler(spec, BELIEFS))
        run(study, WIDE, 20)
        origins = [origin_of(trial, spec, trial.number) for trial in study.trials]
        expected = {"earned_prior": {"draw", "tpe", "uniform"}, "tpe": {"tpe", "uniform"}}
        assert set(origins) == expected.get(name, {"uniform"})
        assert "tpe" not in origins[:3]
