from dataclasses import replace

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsearch.errors import SpecError
from tlsearch.records import HYPERPARAMETER_NAMES, Hyperparameters, Range
from tlsearch.sampler import build_pruner, build_sampler
from tlsearch.space import SearchSpace, resolve
from tlsearch.spec import PrunerSpec, SamplerSpec, SpaceSpec

SOME = Hyperparameters(
    reinit_layers=2,
    high_lr=0.01,
    low_lr_ratio=0.5,
    low_layers=3,
    alpha=0.1,
    beta=0.01,
    l2sp_layers=4,
)


class TestCanonical:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, {}),
            ({"low_layers": 0}, {"low_layers": 0, "low_lr_ratio": 1.0}),
            ({"low_lr_ratio": 1.0}, {"low_layers": 0, "low_lr_ratio": 1.0}),
            ({"l2sp_layers": 0}, {"l2sp_layers": 0, "alpha": 0.0}),
            ({"reinit_layers": 16}, {"low_layers": 2, "l2sp_layers": 2}),
            (
                {"reinit_layers": 18},
                {"low_layers": 0, "low_lr_ratio": 1.0, "l2sp_layers": 0, "alpha": 0.0},
            ),
            # no decay at all on the lowest layers is not the same as L2 on them
            ({"alpha": 0.0}, {"alpha": 0.0}),
        ],
    )
    def test_knobs_without_effect_take_their_neutral_value(self, changes, expected):
        given = replace(SOME, **changes)
        assert given.canonical(17) == replace(given, **expected)

    @given(
        st.integers(1, 18),
        st.sampled_from([0.1, 1.0]),
        st.integers(0, 17),
        st.sampled_from([0.0, 0.1]),
        st.integers(0, 17),
    )
    def test_is_a_fixed_point(self, reinit, ratio, low, alpha, l2sp):
        drawn = Hyperparameters(reinit, 0.01, ratio, low, alpha, 0.01, l2sp)
        once = drawn.canonical(17)
        assert once.canonical(17) == once


class TestResolve:
    def test_open_ranges_span_the_network(self):
        space = resolve(SpaceSpec(), 17)
        assert space.ranges["low_layers"] == Range(0, 17)
        assert space.ranges["l2sp_layers"] == Range(0, 17)
        assert space.ranges["reinit_layers"] == Range(1, 4)

    def test_where_the_classifier_may_be_a_probe_no_layer_need_be_reinitialised(self):
        space = resolve(SpaceSpec(), 17, takes_head=True)
        assert space.ranges["reinit_layers"] == Range(0, 4)
        fixed = resolve(SpaceSpec(reinit_layers=Range(0, 0)), 17, takes_head=True)
        assert fixed.plain_default().reinit_layers == 0

    @pytest.mark.parametrize(
        ("table", "sentence"),
        [
            (
                {"low_layers": [0, 40]},
                r"space.low_layers: \[0, 40\] must lie within \[0, 17\]; the network has 17 body",
            ),
            ({"low_layers": 18}, "space.low_layers: 18 must lie within"),
            ({"l2sp_layers": [0, 1.5]}, "counts layers; give whole numbers"),
            (
                {"reinit_layers": 0},
                r"space.reinit_layers: 0 must lie within \[1, 18\]; the network has 17 body",
            ),
            ({"reinit_layers": 19}, "space.reinit_layers: 19 must lie within"),
            ({"low_lr_ratio": [0.1, 2]}, "space.low_lr_ratio"),
            ({"high_lr": [0, 0.1]}, "space.high_lr"),
            ({"alpha": [0, 0.1]}, "logarithmic scale; begin it above 0, or fix it to 0"),
        ],
    )
    def test_errors(self, table, sentence):
        with pytest.raises(SpecError, match=sentence):
            resolve(SpaceSpec(**table), 17)

    def test_all_problems_at_once(self):
        with pytest.raises(SpecError) as caught:
            resolve(SpaceSpec(low_layers=Range(99, 99), l2sp_layers=Range(99, 99)), 17)
        assert len(caught.value.problems) == 2

    def test_default_is_plain_fine_tuning(self):
        plain = resolve(SpaceSpec(), 17).plain_default().canonical(17)
        assert plain == Hyperparameters(1, 0.01, 1.0, 0, 0.0, 1e-4, 0)

    def test_adamw_has_lower_rates_and_stronger_decay(self):
        space = resolve(SpaceSpec(low_layers=Range(3, 5)), 17, optimizer="adamw")
        assert space.ranges["high_lr"] == Range(1e-5, 3e-3)
        assert space.ranges["alpha"] == Range(1e-3, 1.0)
        assert space.ranges["beta"] == Range(1e-4, 0.1)
        assert space.ranges["low_layers"] == Range(3, 5)
        plain = space.plain_default().canonical(17)
        assert plain == Hyperparameters(1, 3e-4, 1.0, 0, 0.0, 1e-2, 0)
        given = resolve(SpaceSpec(high_lr=Range(1e-4, 1e-1)), 17, optimizer="adamw")
        assert given.ranges["high_lr"] == Range(1e-4, 1e-1)

    def test_default_stays_inside_the_ranges(self):
        space = resolve(SpaceSpec(high_lr=Range(0.02, 0.1), low_layers=Range(5, 5)), 17)
        assert space.plain_default().high_lr == 0.02
        assert space.plain_default().low_layers == 5

    def test_storing(self):
        space = resolve(SpaceSpec(alpha=Range(0.1, 0.1)), 17)
        assert SearchSpace.from_dict(space.as_dict()) == space
        adamw = resolve(SpaceSpec(), 17, optimizer="adamw")
        assert SearchSpace.from_dict(adamw.as_dict()) == adamw != resolve(SpaceSpec(), 17)
        older = {k: v for k, v in space.as_dict().items() if k != "optimizer"}
        assert SearchSpace.from_dict(older) == space


def study_with(sampler, n=0, space=None):
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space = space or resolve(SpaceSpec(), 17)
    for _ in range(n):
        run(study, space)
    return study


def run(study, space):
    trial = study.ask()
    drawn = space.suggest(trial)
    study.tell(trial, -abs(drawn.high_lr - 0.02) - 0.001 * drawn.reinit_layers)
    return drawn


@pytest.mark.parametrize("name", ["tpe", "random"])
class TestSampler:
    def test_draws_depend_on_the_database_alone(self, name):
        """A worker that was restarted after each trial draws what one that was not draws."""
        spec = SamplerSpec(name=name, startup_trials=4, seed=3)
        space = resolve(SpaceSpec(), 17)
        steady = study_with(build_sampler(spec))
        uninterrupted = [run(steady, space) for _ in range(12)]
        restarted = study_with(build_sampler(spec))
        drawn = []
        for _ in range(12):
            restarted.sampler = build_sampler(spec)
            drawn.append(run(restarted, space))
        assert drawn == uninterrupted
        assert len(set(drawn)) == 12

    def test_seed_matters(self, name):
        space = resolve(SpaceSpec(), 17)
        one, two = (
            run(study_with(build_sampler(SamplerSpec(name=name, seed=seed))), space)
            for seed in (0, 1)
        )
        assert one != two

    def test_draws_fill_the_space(self, name):
        space = resolve(SpaceSpec(alpha=Range(0.5, 0.5)), 17)
        study = study_with(build_sampler(SamplerSpec(name=name)), 60, space)
        for key in HYPERPARAMETER_NAMES:
            values = [trial.params[key] for trial in study.trials]
            limits = space.ranges[key]
            assert min(values) >= limits.low
            assert max(values) <= limits.high
            assert limits.fixed or len(set(values)) > 2


def test_tpe_is_multivariate_and_learns():
    """With the same budget TPE ends nearer to the best rate than its random start."""
    study = study_with(build_sampler(SamplerSpec(name="tpe", startup_trials=8)), 40)
    values = [trial.value for trial in study.trials]
    assert max(values[8:]) > max(values[:8])
    space = study.sampler.infer_relative_search_space(study, study.trials[-1])
    assert set(space) == set(HYPERPARAMETER_NAMES)


class TestPruner:
    def curves(self, pruner, lagging, others=(0.5,) * 8):
        study = optuna.create_study(direction="maximize", pruner=pruner)
        for _ in range(5):
            trial = study.ask()
            for epoch, value in enumerate(others, 1):
                trial.report(value, epoch)
            study.tell(trial, others[-1])
        trial = study.ask()
        for epoch, value in enumerate(lagging, 1):
            trial.report(value, epoch)
            if trial.should_prune():
                return epoch
        return None

    def test_median(self):
        median = PrunerSpec(name="median", warmup_fraction=0.25)
        assert self.curves(build_pruner(median, 8), (0.1,) * 8) == 2
        assert self.curves(build_pruner(median, 20), (0.1,) * 8) == 5
        assert self.curves(build_pruner(median, 8), (0.9,) * 8) is None

    def test_default_spares_seven_tenths_of_the_epochs(self):
        assert self.curves(build_pruner(PrunerSpec(), 8), (0.1,) * 8) == 6
        assert self.curves(build_pruner(PrunerSpec(), 10), (0.1,) * 10) == 7
        assert self.curves(build_pruner(PrunerSpec(), 8), (0.1, 0.1, 0.1, 0.6) * 2) is None

    def test_none(self):
        assert self.curves(build_pruner(PrunerSpec(name="none"), 8), (0.0,) * 8) is None

    def test_percentile_is_what_a_trial_must_reach(self):
        study = optuna.create_study(
            direction="maximize",
            pruner=build_pruner(PrunerSpec(percentile=25.0, warmup_fraction=0.25), 4),
        )
        for value in (0.1, 0.2, 0.3, 0.4, 0.5):
            trial = study.ask()
            trial.report(value, 1)
            study.tell(trial, value)
        for value, pruned in ((0.15, True), (0.25, False)):
            trial = study.ask()
            trial.report(value, 1)
            assert bool(trial.should_prune()) == pruned
