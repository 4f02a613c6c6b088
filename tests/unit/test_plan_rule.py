"""The rule of thumb by which a budget of time is spent, and the sizes that are looked at."""

from dataclasses import replace

import numpy as np
import pytest

from tlsearch.finetune.lr_range import STEPS
from tlsearch.finetune.pace import Pace, n_closing
from tlsearch.spec import StudySpec, parse_spec
from tlsearch.studies.plan_cost import as_it_is
from tlsearch.studies.plan_rule import (
    ENOUGH_TRIALS,
    FEWEST_TRIALS,
    MOST_TRIALS,
    Probe,
    SizeFacts,
    candidate_epochs,
    combinations,
    gain_of_epochs,
    least_seconds,
    points,
    recommended,
)
from tlsearch.studies.plan_sizes import candidate_sizes, compared

N_TRAIN, N_VAL = 320, 100
PACE = Pace(64, 0.0, 0.01, 0.0, 0.0, 0.0, 0.0, 5)  # 3.2 s an epoch
LEAST = FEWEST_TRIALS * 32  # seconds of so many trials of ten epochs


def spec_of(when: str = "off", **recipe: object) -> StudySpec:
    return parse_spec(
        {
            "name": "s",
            "data": {"path": "x"},
            "backbone": {"model": "m"},
            "recipe": {"image_size": 64, "epochs": 10, **recipe},
            "measures": {"when": when},
        }
    )


def size(pixels: int, gain: float | None = 0.0, error: float = 0.0) -> SizeFacts:
    probe = None if gain is None else Probe(0.7 + gain, 0.03, gain, error, 1.0)
    return SizeFacts(pixels, PACE.scaled_to(pixels), probe)


def proposed(sizes: list[SizeFacts], seconds: float, spec: StudySpec | None = None):
    found = combinations(spec or spec_of(), sizes, N_TRAIN, N_VAL, seconds)
    return recommended(found)


def test_what_is_proposed_fits_into_the_budget():
    for seconds in (LEAST, 300, 1_000, 5_000, 100_000):
        found = combinations(spec_of(), [size(64), size(128)], N_TRAIN, N_VAL, seconds)
        assert found
        for one in found:
            assert one.total_seconds <= seconds
            assert FEWEST_TRIALS <= one.trials <= MOST_TRIALS
            assert one.total_seconds == pytest.approx(one.trials * one.trial_seconds)
            assert one.trial_seconds == pytest.approx(
                one.epochs * N_TRAIN * 0.01 * (one.image_size / 64) ** 2
            )
            more = one.total_seconds + one.trial_seconds
            assert more > seconds or one.trials == MOST_TRIALS


@pytest.mark.parametrize(("keep", "networks", "images"), [(3, 6, 500), (0, 5, 400)])
def test_all_networks_of_a_trial_by_folds_are_counted(keep, networks, images):
    """With five folds of a hundred images: five networks of 80, and the one that is kept."""
    plain = spec_of(batch_size=20)
    spec = plain.model_copy(
        update={
            "data": plain.data.model_copy(update={"folds": 5}),
            "checkpoints": plain.checkpoints.model_copy(update={"keep_best": keep}),
        }
    )
    pace = replace(
        PACE, setup=2.0, val_image=0.001, checkpoint_bytes=200, model_bytes=100, peak_bytes=5000
    )
    facts = replace(size(64), pace=pace, image_bytes=1.0)
    cost = as_it_is(spec, facts, pace, (80, 100), workers=1)
    assert cost.trial_seconds == pytest.approx(2.0 * networks + 10 * (0.01 * images + 0.1))
    assert cost.disk.checkpoints == 2 * networks * 200
    assert cost.disk.models == keep * 100
    assert cost.disk.images == 100
    assert cost.memory_bytes == 5000 + 100 + (networks - 1) * 300


def test_a_budget_that_is_too_small():
    assert proposed([size(64)], LEAST - 1) is None
    least = least_seconds(spec_of(), [size(64), size(128)], N_TRAIN, N_VAL)
    assert least == pytest.approx(LEAST)
    assert proposed([size(64)], LEAST + 1).trials == FEWEST_TRIALS
    assert least_seconds(spec_of(), [SizeFacts(64, None, refused="no")], N_TRAIN, N_VAL) is None


def test_longer_training_comes_before_more_trials_than_enough():
    chosen = proposed([size(64)], 16 * 32 * 4)  # 16 trials of 40 epochs, or 40 of 10
    assert (chosen.epochs, chosen.trials) == (40, ENOUGH_TRIALS)


def test_a_larger_size_is_taken_where_fixed_features_say_so():
    seconds = 16 * 32 * 4
    assert proposed([size(64), size(128, 0.06, 0.02)], seconds).image_size == 128
    assert proposed([size(64), size(128, 0.01, 0.02)], seconds).image_size == 64
    assert proposed([size(64), size(128, -0.05, 0.02)], seconds).image_size == 64
    assert proposed([size(64), size(128, None)], seconds).image_size == 64


def test_of_equals_the_shortest():
    rich = proposed([size(64), size(96, 0.002), size(128, 0.002)], 1e6)
    assert (rich.image_size, rich.epochs) == (64, 40)
    assert proposed([size(64), size(96, 0.02), size(128, 0.022)], 1e6).image_size == 96


def test_sizes_that_cannot_be_used_are_left_out():
    assert proposed([size(64), replace(size(128, 0.5), refused="too large")], 1e6).image_size == 64


def test_what_more_epochs_and_trials_are_worth():
    assert [gain_of_epochs(n) for n in (10, 20, 40, 80)] == pytest.approx([0, 0.02, 0.03, 0.03])
    curve = [gain_of_epochs(n) for n in range(1, 100)]
    assert curve == sorted(curve)
    assert gain_of_epochs(5) == pytest.approx(-0.02)
    by_trials = [points(size(64), 10, n) for n in (FEWEST_TRIALS, 12, 16, 40)]
    assert by_trials == sorted(by_trials)
    assert by_trials[2] == by_trials[3]
    assert points(size(128, 0.05, 0.02), 10, FEWEST_TRIALS) == pytest.approx(0.03)
    assert points(size(128, -0.05, 0.02), 10, FEWEST_TRIALS) == pytest.approx(-0.03)


def test_epochs_to_choose_from():
    assert candidate_epochs(spec_of()) == [10, 20, 40]
    assert candidate_epochs(spec_of(epochs=30)) == [10, 20, 30, 40]
    assert candidate_epochs(spec_of(epochs=30, warmup_epochs=12)) == [20, 30, 40]


def test_the_measures_are_part_of_the_cost():
    """Training from random weights has the epochs of a trial, or a twentieth of all."""
    off, on = spec_of("off"), spec_of("worker")
    (without,) = combinations(off, [size(64)], N_TRAIN, N_VAL, 1e6)[-1:]
    of_same = [
        one
        for one in combinations(on, [size(64)], N_TRAIN, N_VAL, 1e6)
        if (one.epochs, one.trials) == (without.epochs, without.trials)
    ]
    assert without.measuring_seconds == 0
    random_init = max(1, 0.05 * MOST_TRIALS) * without.trial_seconds
    steps = STEPS * 32 * 0.01
    assert of_same[0].measuring_seconds == pytest.approx(random_init + 1.0 + steps)


def test_an_epoch_has_whole_batches_validation_and_batch_norm():
    recipe = spec_of(batch_norm="recalibrated").recipe
    pace = Pace(64, 9.0, 1.0, 0.1, 0.01, 5.0, 0.0, 5)
    assert n_closing(100, recipe) == 100
    assert pace.epoch_seconds(100, 50, recipe) == pytest.approx(96 + 10 + 0.5 + 5)
    assert pace.epoch_seconds(20, 50, recipe) == pytest.approx(20 + 2 + 0.5 + 5)
    running = spec_of(batch_norm="running").recipe
    assert pace.epoch_seconds(100, 50, running) == pytest.approx(96 + 0.5 + 5)


def test_sizes_around_the_specs_own():
    assert candidate_sizes(64, 224) == [48, 64, 96, 128, 224]
    assert candidate_sizes(224, 224) == [160, 224, 336, 448]
    assert candidate_sizes(32, None) == [32, 48, 64]
    assert candidate_sizes(50, None)[1] == 50
    assert max(candidate_sizes(1000, None)) <= 1024


def test_two_classifiers_on_the_same_images():
    own = np.array([True, True, False, False])
    better = np.array([True, True, True, False])
    probe = compared(better, own, 1.0)
    assert (probe.val_accuracy, probe.gain) == (0.75, 0.25)
    assert probe.gain_error == pytest.approx((1 - 1 / 4) ** 0.5 / 4)
    assert compared(own, own, 1.0).gain_error == 0
    assert compared(np.ones(4, bool), own, 1.0).error > 0


def test_of_several_labels_what_each_image_is_worth_is_compared():
    own, better = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.4, 0.6, 0.6, 1.2])
    probe = compared(better, own, 1.0)
    assert probe.val_accuracy == pytest.approx(0.7)
    assert probe.gain == pytest.approx(0.2)
    assert probe.error == pytest.approx(better.std(ddof=1) / 2)
    assert probe.gain_error == pytest.approx((better - own).std(ddof=1) / 2)
