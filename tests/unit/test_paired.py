"""The paired test over seeds and images, against scipy and against what it promises."""

import numpy as np
import pytest
from scipy import stats

from tlsearch.records.crossed import crossed
from tlsearch.report.paired import paired_gain

N = 200


def answers(
    seeds: int, *, gain: float, of_seeds: float, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which images two models get right; each image is as hard for both, each seed as lucky."""
    rng = np.random.default_rng(number)
    hard = rng.normal(0.8, 0.35, N)
    ours, theirs = (
        rng.random((seeds, N)) < np.clip(hard + rng.normal(mean, of_seeds, (seeds, 1)), 0, 1)
        for mean in (gain, 0.0)
    )
    return ours, theirs


def test_one_seed_is_the_exact_test_of_mcnemar() -> None:
    ours, theirs = answers(1, gain=0.05, of_seeds=0.0, number=1)
    found = paired_gain(ours, theirs)
    alone, others = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    assert found.p_value == pytest.approx(stats.binomtest(alone, alone + others).pvalue)
    error = (ours.astype(float) - theirs).std() / np.sqrt(N)
    assert (found.low, found.high) == pytest.approx(stats.norm.interval(0.95, found.gain, error))
    assert found.degrees == np.inf


@pytest.mark.parametrize(("alone", "others"), [(0, 0), (1, 0), (3, 3), (5, 0), (2, 9)])
def test_few_images_of_one_seed_are_those_of_scipy(alone: int, others: int) -> None:
    ours, theirs = np.zeros((1, N), bool), np.zeros((1, N), bool)
    ours[0, :alone] = theirs[0, alone : alone + others] = True
    expected = stats.binomtest(alone, alone + others).pvalue if alone + others else 1
    assert paired_gain(ours, theirs).p_value == pytest.approx(expected)


def test_seeds_that_differ_much_are_the_paired_t_test_of_scipy_over_seeds() -> None:
    """All images right or wrong by the seed: images tell nothing of their own."""
    ours = np.repeat([[True], [False], [True], [True]], N, axis=1)
    theirs = np.repeat([[False], [False], [True], [False]], N, axis=1)
    found = paired_gain(ours, theirs)
    expected = stats.ttest_rel(ours.mean(axis=1), theirs.mean(axis=1))
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_degrees_of_freedom_are_never_below_those_of_seeds() -> None:
    """Where next to nothing is left of both, both have a part of one: an interval without end."""
    few = 0
    for number in range(200):
        ours, theirs = answers(2, gain=0.05, of_seeds=0.0, number=number)
        both = crossed(ours.astype(float) - theirs).both
        few += both is not None and both.freedom < 0.9
        assert paired_gain(ours, theirs).degrees >= 1
    assert few > 0


def test_seeds_that_agree_are_the_t_test_of_scipy_over_images() -> None:
    ours, theirs = (
        np.repeat(each, 4, axis=0) for each in answers(1, gain=0.1, of_seeds=0, number=2)
    )
    found = paired_gain(ours, theirs)
    each_image = ours.mean(axis=0) - theirs.mean(axis=0)
    assert found.p_value == pytest.approx(stats.ttest_1samp(each_image, 0).pvalue)
    assert found.error == pytest.approx(stats.sem(each_image))


def test_the_error_counts_both() -> None:
    larger = 0
    for number in range(20):
        ours, theirs = answers(6, gain=0.1, of_seeds=0.05, number=number)
        found = paired_gain(ours, theirs)
        difference = ours.astype(float) - theirs
        over_seeds = stats.sem(difference.mean(axis=1))
        over_images = stats.sem(difference.mean(axis=0))
        alone = max(over_seeds, over_images)
        assert alone <= found.error + 1e-12 <= np.hypot(over_seeds, over_images)
        larger += found.error > alone + 1e-6
        assert found.gain == pytest.approx(difference.mean())
        interval = stats.t.interval(0.95, found.degrees, found.gain, found.error)
        assert (found.low, found.high) == pytest.approx(interval)
        p_value = 2 * stats.t.sf(abs(found.gain) / found.error, found.degrees)
        assert found.p_value == pytest.approx(p_value)
    assert larger > 5


@pytest.mark.parametrize("of_seeds", [0.0, 0.1])
def test_intervals_hold_the_true_gain_as_often_as_they_say(of_seeds: float) -> None:
    """Two equal configurations, new seeds and new images each time: 5 % are taken for different."""
    wrong = [
        paired_gain(*answers(4, gain=0.0, of_seeds=of_seeds, number=number)).p_value < 0.05
        for number in range(600)
    ]
    assert 0.01 < np.mean(wrong) < 0.075


def test_models_that_agree_on_every_image_are_not_certain() -> None:
    same = np.ones((3, N), bool)
    found = paired_gain(same, same)
    assert (found.gain, found.p_value, found.error) == (0, 1, 1 / N)
    assert not found.is_clear


def test_a_model_behind_is_never_clear() -> None:
    ours, theirs = answers(4, gain=0.3, of_seeds=0.0, number=4)
    assert paired_gain(ours, theirs).is_clear
    behind = paired_gain(theirs, ours)
    assert behind.p_value < 0.05
    assert not behind.is_clear
