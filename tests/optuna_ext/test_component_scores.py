"""How often each component won, and the share that the prior earns by it."""

import math

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from scipy import stats
from scipy.integrate import quad

from tlsearch.optuna_ext.earned_prior import (
    COMPONENT,
    PRIOR,
    TPE,
    UNIFORM,
    ComponentScores,
    earned_weight,
    standing,
)

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


class TestEarnedWeight:
    @pytest.mark.parametrize(
        "counts",
        [(0, 0, 0, 0), (1, 1, 0, 0), (0, 3, 4, 9), (5, 6, 5, 50), (7, 30, 0, 1), (20, 40, 30, 60)],
    )
    def test_is_the_integral_over_both_chances(self, counts):
        prior_wins, n_prior, other_wins, n_other = counts
        ours = stats.beta(1 + prior_wins, 1 + n_prior - prior_wins)
        theirs = stats.beta(1 + other_wins, 1 + n_other - other_wins)
        expected, _ = quad(lambda p: ours.pdf(p) * theirs.cdf(p), 0, 1, epsabs=1e-12)
        assert earned_weight(*counts) == pytest.approx(expected, abs=1e-9)

    def test_is_a_half_before_any_trial(self):
        assert earned_weight(0, 0, 0, 0) == pytest.approx(0.5)

    def test_rises_with_wins(self):
        weights = [earned_weight(wins, 10, 3, 12) for wins in range(11)]
        assert weights == sorted(set(weights))
        assert weights[-1] > 0.99

    def test_falls_to_nothing_with_losses(self):
        weights = [earned_weight(0, losses, 5, 20) for losses in (0, 5, 20, 100, 1000)]
        assert weights == sorted(set(weights), reverse=True)
        assert weights[-1] < 1e-3

    def test_is_a_probability_after_many_trials(self):
        assert earned_weight(9000, 10000, 1000, 10000) == pytest.approx(1, abs=1e-9)
        assert earned_weight(1000, 10000, 9000, 10000) == pytest.approx(0, abs=1e-9)
        assert earned_weight(2500, 10000, 2500, 10000) == pytest.approx(0.5, abs=1e-6)


def study_of(*trials, direction="maximize"):
    """A study of (component, state, value) trials."""
    study = optuna.create_study(direction=direction)
    for component, state, value in trials:
        attrs = {COMPONENT: component} if component else {}
        study.add_trial(create_trial(state=state, value=value, system_attrs=attrs))
    return study


class TestStanding:
    EIGHT = (
        (PRIOR, COMPLETE, 0.9),
        (TPE, COMPLETE, 0.8),
        (PRIOR, COMPLETE, 0.7),
        (UNIFORM, COMPLETE, 0.6),
        (None, COMPLETE, 0.5),
        (TPE, COMPLETE, 0.4),
        (TPE, COMPLETE, 0.3),
        (PRIOR, COMPLETE, 0.2),
    )

    def test_wins_are_in_the_best_quarter(self):
        assert standing(study_of(*self.EIGHT)) == (1, 3, 1, 3)

    def test_minimised(self):
        assert standing(study_of(*self.EIGHT, direction="minimize")) == (1, 3, 1, 3)
        assert standing(study_of(*self.EIGHT[1:], direction="minimize")) == (1, 2, 1, 3)
        assert standing(study_of(*self.EIGHT[:7], direction="minimize")) == (0, 2, 2, 3)

    def test_quarter_is_rounded_up(self):
        assert standing(study_of(*self.EIGHT[:1])) == (1, 1, 0, 0)
        assert standing(study_of(*self.EIGHT[1:5])) == (0, 1, 1, 1)
        assert standing(study_of(*self.EIGHT[1:6])) == (1, 1, 1, 2)

    def test_pruned_trials_count_and_never_win(self):
        pruned = [(PRIOR, PRUNED, 0.99)] * 4
        assert standing(study_of(*pruned)) == (0, 4, 0, 0)
        assert standing(study_of(*pruned, *self.EIGHT)) == (2, 7, 1, 3)

    def test_unfinished_and_failed_trials_do_not_count(self):
        others = [(PRIOR, FAIL, None), (PRIOR, TrialState.WAITING, None)]
        assert standing(study_of(*others)) == (0, 0, 0, 0)
        assert standing(study_of(*others, *self.EIGHT)) == (1, 3, 1, 3)

    def test_trials_without_component_and_uniform_ones_raise_the_mark_but_do_not_count(self):
        others = [(None, COMPLETE, 1.0), (UNIFORM, COMPLETE, 1.0)]
        assert standing(study_of(*others, *self.EIGHT)) == (1, 3, 0, 3)

    def test_all_as_good_as_the_last_of_the_quarter_win(self):
        tied = [(TPE, COMPLETE, 0.5), (PRIOR, COMPLETE, 0.5)]
        assert standing(study_of(*tied)) == (1, 1, 1, 1)
        assert standing(study_of(*reversed(tied))) == (1, 1, 1, 1)

    def test_zero_is_a_value_like_others(self):
        trials = [(PRIOR, COMPLETE, 0.0), (TPE, COMPLETE, -0.1)]
        assert standing(study_of(*trials)) == (1, 1, 0, 1)
        assert standing(study_of(*trials, direction="minimize")) == (0, 1, 1, 1)

    def test_several_objectives(self):
        with pytest.raises(ValueError, match="one objective"):
            standing(optuna.create_study(directions=["maximize", "minimize"]))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("seed", range(6))
def test_standing_trial_by_trial(direction, seed):
    """The same as from all trials at once, written down as the docstring says it."""
    generator = np.random.default_rng(seed)
    study = optuna.create_study(direction=direction)
    for _ in range(60):
        state = (COMPLETE, COMPLETE, PRUNED, FAIL)[generator.integers(4)]
        component = (PRIOR, TPE, "uniform", None)[generator.integers(4)]
        study.add_trial(
            create_trial(
                state=state,
                value=float(generator.integers(8)) if state is COMPLETE else None,
                system_attrs={COMPONENT: component} if component else {},
            )
        )
        assert standing(study) == naive_standing(study)


def naive_standing(study):
    sign = 1 if study.direction is StudyDirection.MAXIMIZE else -1
    done = study.get_trials(states=(COMPLETE, PRUNED))
    complete = sorted((sign * t.value for t in done if t.state is COMPLETE), reverse=True)
    mark = complete[: math.ceil(len(done) / 4)][-1] if complete else math.inf
    found = []
    for component in (PRIOR, TPE):
        own = [t for t in done if t.system_attrs.get(COMPONENT) == component]
        found.append(sum(t.state is COMPLETE and sign * t.value >= mark for t in own))
        found.append(len(own))
    return tuple(found)


def test_scores_of_nothing():
    assert ComponentScores(optuna.create_study()).standing() == (0, 0, 0, 0)
