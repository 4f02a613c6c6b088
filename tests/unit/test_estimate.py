"""Expected accuracies: a known truth under the noise of few validation images."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tlsearch.estimate import Expected, expected_scores
from tlsearch.estimate.expected import MAX_BEST, MAX_LATEST, _representative, unit_cube
from tlsearch.records import Hyperparameters, Range, TrialRecord
from tlsearch.records.precision import standard_error
from tlsearch.space import SearchSpace, resolve
from tlsearch.spec import SpaceSpec

SPACE = resolve(SpaceSpec(reinit_layers=Range(1, 4)), 17)
N_VAL = 200


def drawn(generator: np.random.Generator) -> Hyperparameters:
    return Hyperparameters(
        reinit_layers=int(generator.integers(1, 5)),
        high_lr=float(10 ** generator.uniform(-3, -1)),
        low_lr_ratio=float(10 ** generator.uniform(-1.5, 0)),
        low_layers=int(generator.integers(0, 18)),
        alpha=float(10 ** generator.uniform(-4, -1)),
        beta=float(10 ** generator.uniform(-5, -2)),
        l2sp_layers=int(generator.integers(0, 18)),
    )


def truth(params: Hyperparameters) -> float:
    """The rate decides, and the layers reinitialised a little."""
    return (
        0.8 - 0.1 * (math.log10(params.high_lr) + 1.5) ** 2 - 0.01 * abs(params.reinit_layers - 2)
    )


def trial(number: int, params: Hyperparameters | None, accuracy: float, **more) -> TrialRecord:
    given = {"state": "complete", "epochs": 10, "seconds": 1.0, **more}
    return TrialRecord(number=number, params=params, val_accuracy=accuracy, **given)


def search(seed: int, n: int) -> list[TrialRecord]:
    """Trials whose accuracy is a share of N_VAL images, of which some are hard for all of them.

    The half of the variance that is common to all is left out: no estimate can know it.
    """
    generator = np.random.default_rng(seed)
    found = [drawn(generator) for _ in range(n)]
    accuracies = []
    for params in found:
        independent = generator.binomial(N_VAL, truth(params)) / N_VAL
        accuracies.append(truth(params) + math.sqrt(0.5) * (independent - truth(params)))
    return [trial(number, *each) for number, each in enumerate(zip(found, accuracies, strict=True))]


def test_it_takes_the_luck_out_of_the_best():
    seen_errors, errors, within = [], [], []
    for seed in range(12):
        trials = search(seed, 20)
        best = max(trials, key=lambda each: each.val_accuracy or 0.0)
        assert best.params is not None
        assert best.val_accuracy is not None
        found = expected_scores(trials, SPACE, N_VAL)
        assert found.keys() == {each.number for each in trials}
        error = found[best.number].score - truth(best.params)
        seen_errors.append(best.val_accuracy - truth(best.params))
        errors.append(error)
        within.append(abs(error) < 2 * found[best.number].sd)
    assert np.mean(seen_errors) > 0.012
    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < np.sqrt(np.mean(np.square(seen_errors)))
    assert sum(within) >= 11


def test_fewer_than_four_different_trials_are_taken_as_seen():
    trials = search(0, 3)
    repeated = [*trials, replace(trials[0], number=3, duplicate_of=0)]
    for given in (trials, repeated):
        found = expected_scores(given, SPACE, N_VAL)
        for each in given:
            p = each.val_accuracy or 0.0
            assert found[each.number].score == p
            assert found[each.number].sd == standard_error(p, N_VAL)
    assert expected_scores([], SPACE, N_VAL) == {}
    assert expected_scores([trial(0, None, 1.0)], SPACE, 10)[0].sd > 0


def test_a_copied_result_is_no_second_measurement():
    trials = search(1, 8)
    best = max(trials, key=lambda each: each.val_accuracy or 0.0)
    copies = [replace(best, number=8 + n, duplicate_of=best.number) for n in range(10)]
    plain, copied = (expected_scores(t, SPACE, N_VAL) for t in (trials, [*trials, *copies]))
    assert {number: copied[number] for number in plain} == plain
    for copy in copies:
        assert copied[copy.number].score == pytest.approx(plain[best.number].score)


def test_repeats_say_how_large_the_noise_is():
    """The same mean of four runs: where they scatter, less is known of it."""
    trials = search(2, 10)
    params = trials[0].params

    def sd(accuracies: list[float]) -> float:
        again = [trial(10 + n, params, each) for n, each in enumerate(accuracies)]
        return expected_scores([*trials[1:], *again], SPACE, 100_000)[10].sd

    assert sd([0.60, 0.80, 0.65, 0.75]) > 2 * sd([0.70, 0.701, 0.699, 0.70])


def test_what_is_left_out():
    """Pruned, failed and running trials, and the linear classifier on fixed features."""
    trials = search(3, 8)
    others = [
        trial(8, trials[0].params, 0.1, state="pruned"),
        trial(9, trials[0].params, 0.1, state="fail"),
        trial(10, trials[0].params, 0.1, state="running"),
        trial(11, trials[0].params, 0.2, origin="fixed_features"),
    ]
    found = expected_scores([*trials, *others], SPACE, N_VAL)
    assert found.pop(11) == Expected(0.2, standard_error(0.2, N_VAL))
    assert found == expected_scores(trials, SPACE, N_VAL)


def test_it_is_the_same_in_any_order_and_each_time():
    trials = search(4, 9)
    once, again = (expected_scores(t, SPACE, N_VAL) for t in (trials, trials[::-1]))
    assert once == again


def test_trials_that_train_the_same_model_get_the_same_figures():
    trials = search(5, 8)
    params = trials[0].params
    assert params is not None
    same = [replace(params, low_layers=0, low_lr_ratio=ratio) for ratio in (0.1, 0.9)]
    given = [*trials, *(trial(8 + n, each, 0.7) for n, each in enumerate(same))]
    found = expected_scores(given, SPACE, N_VAL)
    assert found[8] == found[9]


@pytest.mark.parametrize("accuracy", [0.0, 1.0, 0.1])
def test_it_stays_a_share_where_all_are_equal(accuracy):
    trials = [replace(each, val_accuracy=accuracy) for each in search(6, 6)]
    for each in expected_scores(trials, SPACE, 30).values():
        assert each.score == pytest.approx(accuracy, abs=0.05)
        assert 0 < each.sd < 0.2


def test_a_space_of_one_point():
    space = SearchSpace(17, {name: Range(r.low, r.low) for name, r in SPACE.ranges.items()})
    params = space.plain_default()
    trials = [trial(n, params, 0.5 + n / 100) for n in range(6)]
    assert expected_scores(trials, space, N_VAL)[5].score == 0.55


def test_the_cube():
    generator = np.random.default_rng(0)
    points = np.array([unit_cube(drawn(generator), SPACE) for _ in range(200)])
    assert points.min() >= 0
    assert points.max() <= 1
    assert points.max() - points.min() > 0.95
    plain = Hyperparameters(1, 0.01, 0.5, 0, 0.01, 1e-5, 0)
    assert unit_cube(plain, SPACE) == pytest.approx([0, 0.5, 1, 0, 0, 0, 0])
    fixed = replace(SPACE, ranges={**SPACE.ranges, "beta": Range(0.0, 0.0)})
    assert len(unit_cube(plain, fixed)) == 6


def test_of_many_trials_the_best_and_the_latest_count():
    generator = np.random.default_rng(0)
    values = generator.permutation(500) / 500
    trials = [trial(n, SPACE.plain_default(), float(value)) for n, value in enumerate(values)]
    used = _representative(trials)
    assert len({each.number for each in used}) == MAX_BEST + MAX_LATEST
    assert {each.val_accuracy for each in used} >= set(np.arange(500 - MAX_BEST, 500) / 500)
    others = [each.number for each in trials if (each.val_accuracy or 0) < 1 - MAX_BEST / 500]
    assert {each.number for each in used} >= set(others[-MAX_LATEST:])
