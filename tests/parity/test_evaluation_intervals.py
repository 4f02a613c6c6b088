"""Intervals and paired gains, against scipy, a bootstrap, and draws whose truth is known."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t, ttest_rel

from tlsearch.evaluation import interval_of
from tlsearch.report.paired import paired_gain


def drawn(rng, n_seeds, n_images, of_images, of_seeds, of_rest=0.6, middle=1.0):
    """Right or wrong by the sign of a crossed sum of normal effects."""
    sum_of = (
        middle
        + of_images * rng.normal(size=(1, n_images))
        + of_seeds * rng.normal(size=(n_seeds, 1))
        + of_rest * rng.normal(size=(n_seeds, n_images))
    )
    return sum_of > 0


def test_one_model_has_the_interval_of_wilson():
    right = np.random.default_rng(0).random((1, 250)) < 0.8
    expected = binomtest(int(right.sum()), 250).proportion_ci(0.95, method="wilson")
    found = interval_of(right)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == right.mean()


def test_equal_models_have_the_interval_of_one():
    """Four copies of a model say no more than one: t over images, as the copies do not differ."""
    row = np.random.default_rng(1).random((1, 300)) < 0.8
    copies, one = interval_of(np.repeat(row, 4, axis=0)), interval_of(row)
    assert copies.low == pytest.approx(one.low, abs=6e-4)
    assert copies.high == pytest.approx(one.high, abs=6e-4)


def test_seeds_that_differ_alone_have_the_interval_of_t():
    """All images are alike, so what varies is the seed: scipy's t interval over the seeds."""
    rng = np.random.default_rng(2)
    right = np.array([rng.random(20_000) < p for p in (0.70, 0.76, 0.73, 0.79)])
    accuracies = right.mean(axis=1)
    error = accuracies.std(ddof=1) / 2
    low, high = t.interval(0.95, 3, loc=accuracies.mean(), scale=error)
    found = interval_of(right)
    assert found.high - found.low == pytest.approx(high - low, rel=0.05)
    assert found.low == pytest.approx(low, abs=0.006)  # a score interval leans to one half


def test_a_bootstrap_over_images_and_seeds_agrees():
    rng = np.random.default_rng(5)
    right = drawn(rng, 12, 400, of_images=1.0, of_seeds=0.15)
    means = [
        right[rng.integers(12, size=12)][:, rng.integers(400, size=400)].mean() for _ in range(4000)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    found = interval_of(right)
    # A bootstrap of a crossed design counts the rest three times (Owen, 2007): it is a bit wider.
    assert 0.75 < (found.high - found.low) / (high - low) < 1.15
    assert found.low == pytest.approx(low, abs=0.012)


@pytest.mark.parametrize(
    ("of_images", "of_seeds"), [(1.0, 0.0), (1.0, 0.2), (0.3, 0.3)], ids=["images", "both", "seeds"]
)
def test_it_covers_the_truth(of_images, of_seeds):
    rng = np.random.default_rng(6)
    truth = norm.cdf(1.0 / math.sqrt(of_images**2 + of_seeds**2 + 0.36))
    inside = 0
    for _ in range(600):
        found = interval_of(drawn(rng, 4, 200, of_images, of_seeds))
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 600 <= 0.99  # the standard error of a share of 600 is 0.009


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
@pytest.mark.parametrize("n_seeds", [1, 4])
def test_all_right_or_all_wrong_is_not_certain(accuracy, n_seeds):
    found = interval_of(np.full((n_seeds, 50), accuracy == 1.0))
    assert 0.0 <= found.low <= accuracy <= found.high <= 1.0
    assert 0.05 < found.high - found.low < 0.15


def test_one_model_against_one_is_the_exact_test_of_mcnemar():
    rng = np.random.default_rng(7)
    ours, theirs = rng.random((1, 300)) < 0.8, rng.random((1, 300)) < 0.7
    alone = int((ours & ~theirs).sum())
    others = int((theirs & ~ours).sum())
    found = paired_gain(ours, theirs)
    assert found.p_value == pytest.approx(binomtest(alone, alone + others, 0.5).pvalue)
    assert found.gain == pytest.approx((alone - others) / 300)
    differences = ours[0].astype(float) - theirs[0]
    error = differences.std(ddof=0) / math.sqrt(300)
    assert found.high - found.gain == pytest.approx(1.959964 * error)


def test_several_seeds_are_paired_by_image():
    """Where seeds do not differ it is scipy's paired t-test over the images."""
    rng = np.random.default_rng(8)
    ours, theirs = rng.random((1, 300)) < 0.8, rng.random((1, 300)) < 0.7
    found = paired_gain(np.repeat(ours, 3, axis=0), np.repeat(theirs, 3, axis=0))
    expected = ttest_rel(ours[0].astype(float), theirs[0].astype(float))
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_seeds_against_one_that_has_none():
    rng = np.random.default_rng(9)
    ours = drawn(rng, 4, 300, 1.0, 0.1, middle=1.6)
    theirs = drawn(rng, 1, 300, 1.0, 0.0, middle=0.4)
    found = paired_gain(ours, theirs)
    assert found.gain == pytest.approx(ours.mean() - theirs.mean())
    assert found.low > 0
    assert found.p_value < 0.05
    back = paired_gain(theirs, ours)
    assert (back.gain, back.low, back.high) == pytest.approx((-found.gain, -found.high, -found.low))
    assert back.p_value == pytest.approx(found.p_value)


def test_no_gain_is_seldom_taken_for_one():
    rng, false_alarms = np.random.default_rng(10), 0
    for _ in range(500):
        both = drawn(rng, 8, 150, of_images=1.0, of_seeds=0.2)
        found = paired_gain(both[:4], both[4:])
        false_alarms += found.p_value < 0.05
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    assert false_alarms / 500 <= 0.08


def test_equal_answers_are_no_gain():
    right = np.random.default_rng(11).random((2, 40)) < 0.5
    for rows in (1, 2):
        found = paired_gain(right[:rows], right[:rows])
        assert found.gain == 0
        assert found.p_value == 1
        assert found.low < 0 < found.high
