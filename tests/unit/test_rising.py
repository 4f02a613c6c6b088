"""Whether learning curves still rise at their end."""

import numpy as np
import pytest

from tlsearch.records import Controls, StudyStatus
from tlsearch.report.budget import pace_sentence
from tlsearch.report.rising import Rising, end_of, rising, rising_sentence

N_VAL = 1000


def endings(slope: float, noise: float, n_trials: int = 10, n: int = 3, seed: int = 0):
    """Rows of accuracies that rise by `slope` an epoch, with independent noise."""
    rng = np.random.default_rng(seed)
    line = 0.8 + slope * np.arange(n)
    return [list(line + noise * rng.standard_normal(n)) for _ in range(n_trials)]


def found_in(rows, n_complete: int = 40, n_val: int = N_VAL, epochs: int = 10) -> Rising:
    found = rising(rows, n_complete, n_val, epochs)
    assert found is not None
    return found


def test_the_end_of_a_curve_is_its_last_third_or_so():
    assert [end_of(epochs) for epochs in (5, 6, 10, 20, 40)] == [None, 3, 3, 6, 12]


def test_a_line_without_noise_has_its_slope():
    found = found_in([[0.80, 0.81, 0.82]] * 10)
    assert found.slope == pytest.approx(0.01)
    assert found.beyond_noise
    assert found.epochs_to_try == 20
    sentence = rising_sentence(found)
    assert sentence is not None
    assert sentence.startswith("longer training would help: +1 points an epoch at the end")
    assert sentence.endswith("try recipe.epochs = 20")


def test_the_slope_is_that_of_least_squares():
    rows = endings(0.002, 0.01, n=12)
    wanted = np.mean([np.polyfit(np.arange(12), row, 1)[0] for row in rows])
    assert found_in(rows, epochs=40).slope == pytest.approx(wanted)


def test_flat_and_falling_curves_say_nothing():
    for rows in (endings(0.0, 0.005), endings(-0.01, 0.001), [[0.8, 0.8, 0.8]] * 10):
        found = found_in(rows)
        assert not found.beyond_noise
        assert rising_sentence(found) is None
    assert rising_sentence(None) is None


def test_chance_alone_is_seldom_taken_for_a_rise():
    """At 97.5 % about one of forty; every seed is another study."""
    taken = [found_in(endings(0.0, 0.01, seed=seed)).beyond_noise for seed in range(200)]
    assert np.mean(taken) < 0.06
    seen = [found_in(endings(0.01, 0.01, seed=seed)).beyond_noise for seed in range(200)]
    assert np.mean(seen) > 0.7


def test_few_validation_images_can_not_tell():
    """All trials agree, but what they agree on is less than an image in each."""
    rows = [[0.8, 0.8, 0.8 + 1 / 2000]] * 10
    assert not found_in(rows, n_val=100).beyond_noise
    assert found_in(rows, n_val=100_000).beyond_noise


def test_the_best_quarter_is_looked_at_four_trials_at_least():
    rows = endings(0.01, 0.001)
    assert [found_in(rows, n).n_trials for n in (4, 16, 24, 40, 400)] == [4, 4, 6, 10, 10]
    assert rising(rows[:3], 3, N_VAL, 10) is None
    assert rising(rows, 40, N_VAL, 5) is None


def status(ended: int, seconds: float, trials: int, hours: float | None = None, used: float = 0.0):
    controls = Controls("running", trials, hours, None, None, None, used, None, None)
    return StudyStatus("s", controls, {"complete": ended}, None, None, seconds, ())


def test_what_is_left_at_the_present_pace():
    assert pace_sentence(status(0, 0.0, 16)) is None
    assert status(0, 0.0, 16).trials_left == 16
    assert status(0, 0.0, 16, hours=1.0).trials_left is None
    assert pace_sentence(status(4, 40.0, 16)) == (
        "a trial takes 0:10 (mean of 4); the budget has room for 12 more, 2:00 of one worker"
    )
    by_time = status(4, 40.0, 16, hours=0.02, used=0.01)  # 36 s are left
    assert by_time.trials_left == 3
    assert "room for 3 more, 0:30 of one worker" in str(pace_sentence(by_time))
    spent = status(4, 40.0, 16, hours=0.02, used=0.03)
    assert "room for no more" in str(pace_sentence(spent))
